"""What a search with pruning saves: the best of a grid, reached by Optuna in how much of the grid's training?

    .venv/bin/python scripts/bench/search.py --json outputs/search.json

The grid is 16 jobs of `task=mnist_cnn`: four learning rates from 1e-4 to 1e-1, a decade apart, by four batch
sizes. The search has the same batch sizes and the whole interval of the rates, TPE and the median pruner,
16 trials. Both are judged by eval/accuracy, the split that nothing is trained on; the test split only
says at the end whether the choice holds. Compute is counted in training images, which do not depend on
what else the machine does, and in seconds of the jobs beside it. `--searches` repeats the search with other
seeds of its sampler; the grid is run once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from side import write_json

RATES, SIZES = ("1e-4", "1e-3", "1e-2", "1e-1"), ("32", "64", "128", "256")
METRIC, TEST = "eval/accuracy", "test/accuracy"


def sweep(folder: Path, words: list[str]) -> list[dict[str, Any]]:
    """Runs `aiexp run -m` in a folder; its jobs in the order they ended."""
    command = [sys.executable, "-m", "aiexp", "run", "-m", "tracker=none", f"outputs={folder}", *words]
    ended = subprocess.run(command, check=False)
    if ended.returncode not in (0, 9):  # 9: a rate that diverges is a failed job, and part of the picture
        raise SystemExit(ended.returncode)
    [directory] = folder.glob("mnist_cnn/*_sweep_*")
    lines = [json.loads(line) for line in (directory / "ledger.jsonl").read_text().splitlines()]
    return [job(directory, line) for line in lines if line["event"] == "ended"]


def job(directory: Path, line: dict[str, Any]) -> dict[str, Any]:
    """What a job has reached and cost."""
    run = directory / line["directory"]
    steps = json.loads((run / "status.json").read_text()).get("step", 0)
    size = yaml.safe_load((run / "config.yaml").read_text())["dataset"]["batch_size"]
    return {
        "overrides": line["overrides"], "state": line["state"], "seconds": line["seconds"],
        "images": steps * size, METRIC: line["metrics"].get(METRIC, 0.0), TEST: line["metrics"].get(TEST),
    }  # fmt: skip


def total(jobs: list[dict[str, Any]], what: str) -> float:
    return sum(j[what] for j in jobs)


def best(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """A pruned job has reached what its best evaluation says, but is not tested and so not chosen."""
    return max((j for j in jobs if j["state"] == "finished"), key=lambda j: j[METRIC])


def jobs_until(jobs: list[dict[str, Any]], value: float) -> list[dict[str, Any]] | None:
    """Those that had ended when the first one reached a value, itself included; None if none did."""
    for number, one in enumerate(jobs, 1):
        if one["state"] == "finished" and one[METRIC] >= value:
            return jobs[:number]
    return None


def compare(grid: list[dict[str, Any]], search: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of the grid's compute: until its best was reached, and in all."""
    wanted, reached = best(grid), jobs_until(search, best(grid)[METRIC])
    shares = {
        f"{name}_{what}": None if part is None else total(part, what) / total(grid, what)
        for name, part in (("reached", reached), ("whole", search))
        for what in ("images", "seconds")
    }
    return {"grid_best": wanted, "search_best": best(search), "num_trials": len(search),
            "num_pruned": sum(j["state"] == "pruned" for j in search), **shares}  # fmt: skip


def show(result: dict[str, Any]) -> None:
    grid, search = result["grid_best"], result["search_best"]
    print(f"grid   {METRIC} {grid[METRIC]:.4f}  {TEST} {grid[TEST]:.4f}  {' '.join(grid['overrides'])}")
    print(f"search {METRIC} {search[METRIC]:.4f}  {TEST} {search[TEST]:.4f}  {' '.join(search['overrides'])}")
    if result["reached_images"] is None:
        print("the search did not reach the best of the grid")
    else:
        print(
            f"reached after {result['reached_images']:.2f} of the grid's images, "
            f"{result['reached_seconds']:.2f} of its seconds (goal: 0.5)"
        )
    print(
        f"the whole search: {result['whole_images']:.2f} of the grid's images, {result['num_pruned']} of "
        f"{result['num_trials']} trials pruned"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    fixed = ["task=mnist_cnn", f"dataset.limit={given.limit}", f"trainer.epochs={given.epochs}"]
    sizes = f"dataset.batch_size={','.join(SIZES)}"
    results: list[dict[str, Any]] = []
    Path("outputs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="search-", dir=Path.cwd() / "outputs") as folder:
        rates = f"task.optimizer.lr={','.join(RATES)}"
        grid = sweep(Path(folder, "grid"), [*fixed, rates, sizes])
        for seed in range(given.searches):
            settings = [f"objective={METRIC}", "direction=max", f"n_trials={given.trials}", f"seed={seed}",
                        "startup_trials=4", "pruner=median"]  # fmt: skip
            words = ["hydra/sweeper=optuna", *(f"hydra.sweeper.{s}" for s in settings)]
            interval = f"task.optimizer.lr=tag(log,interval({RATES[0]},{RATES[-1]}))"
            search = sweep(Path(folder, f"search{seed}"), [*fixed, *words, interval, sizes])
            results.append(compare(grid, search))
    for result in results:
        show(result)
    if given.json:
        write_json(
            given.json, {"arguments": {k: str(v) for k, v in vars(given).items()}, "searches": results}
        )


if __name__ == "__main__":
    main()
