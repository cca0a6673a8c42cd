"""Fine-tuning of few parameters against all of them: `task=bert_finetune` on movie_reviews, several seeds.

    .venv/bin/python scripts/bench/peft.py --json docs/benchmarks/peft.json

Each run is `aiexp run task=bert_finetune peft=KIND`, a process of its own, from weights minilm, with the
learning rate below; the kinds take turns in every seed. Accuracy is that of the test split (1,004 sentences),
after the epochs asked for. Memory is the highest of the process; examples a second the median of its lines;
the trained share is of all parameters; a checkpoint is weights, moments and the rest.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from side import TEXT, Claim, write_json

ROOT = Path(__file__).resolve().parents[2]
RATES = {"none": 1e-4, "lora": 3e-3, "prefix": 1e-2, "prompt": 1e-2, "ia3": 1e-2, "bitfit": 2e-3}
MOST_SHARE, MOST_POINTS = 0.03, 1.0  # the goals for LoRA


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--kinds", nargs="+", choices=list(RATES), default=["none", "lora", "prefix"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the training split")
    parser.add_argument("--set", nargs="*", default=[], help="more words for every run: model=bert_tiny")
    asked = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in asked.kinds}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.seeds):
            for kind in asked.kinds if seed % 2 == 0 else asked.kinds[::-1]:
                runs[kind].append(trained(kind, seed, asked.epochs, asked.set, Path(folder)))
                sys.stderr.write(f"{kind}, seed {seed}: {runs[kind][-1]}\n")
    result = {
        "runs": runs, "rates": {kind: RATES[kind] for kind in asked.kinds}, "epochs": asked.epochs,
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(table(runs))
    for claim in claims(result):
        verdict = {True: "met", False: "missed", None: ""}[claim.is_met]
        print(f"{claim.what}: {claim.measured} {claim.goal and f'(goal {claim.goal}: {verdict})'}".rstrip())
    write_json(asked.json, result, "transformers")


def trained(kind: str, seed: int, epochs: int, words: list[str], folder: Path) -> dict[str, float]:
    """One run, and what is asked of it."""
    rate = f"task.optimizer.lr={RATES[kind]}"
    typed = ["task=bert_finetune", f"peft={kind}", rate, f"seed={seed}", f"trainer.epochs={epochs}"]
    command = [sys.executable, "-m", "aiexp", "run", *typed, "tracker=none", *words]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    run = (folder / "outputs/latest").resolve()
    environment, status = (
        json.loads((run / name).read_text()) for name in ("environment.json", "status.json")
    )
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    newest = max((run / "checkpoints").glob("step-*"))
    return {
        "accuracy": next(line["test/accuracy"] for line in reversed(lines) if "test/accuracy" in line),
        "examples_per_second": median(
            line["time/examples_per_second"] for line in lines if "time/examples_per_second" in line
        ),
        "peak_memory_bytes": status["peak_memory_bytes"],
        "trained_share": environment["trained_parameters"] / environment["parameters"],
        "checkpoint_bytes": sum(path.stat().st_size for path in newest.rglob("*") if path.is_file()),
    }


def mean_with_interval(scores: list[float]) -> str:
    """`0.8712 [0.8650, 0.8774]`: the mean and Student's interval of 95 %."""
    import numpy as np

    from aiexp.compare.statistics.interval import center_of

    center = center_of(np.array(scores), is_trimmed=False)
    interval = center.interval
    return f"{center.value:.4f}" + (f" [{interval.low:.4f}, {interval.high:.4f}]" if interval else "")


def points(runs: dict[str, list[dict[str, float]]], kind: str) -> list[float]:
    """How many points of accuracy each seed of a kind is above full fine-tuning of the same seed."""
    pairs = zip(runs[kind], runs["none"], strict=True)
    return [100 * (one["accuracy"] - other["accuracy"]) for one, other in pairs]


def table(runs: dict[str, list[dict[str, float]]]) -> str:
    """A row for each kind."""
    rows = [
        f"{'peft':<8}{'test accuracy':<28}{'trained':>9}{'examples/s':>12}{'memory':>10}{'checkpoint':>12}"
    ]
    for kind, each in runs.items():
        of: dict[str, list[float]] = {name: [run[name] for run in each] for name in each[0]}
        rows.append(
            f"{kind:<8}{mean_with_interval(of['accuracy']):<28}{median(of['trained_share']):>8.2%} "
            f"{median(of['examples_per_second']):>11.1f}{median(of['peak_memory_bytes']) / 1e6:>7.0f} MB"
            f"{median(of['checkpoint_bytes']) / 1e6:>9.1f} MB"
        )
    return "\n".join(rows)


def claims(result: dict[str, Any]) -> list[Claim]:
    """What the numbers say."""
    runs = result["runs"]
    found: list[Claim] = []
    for kind in (kind for kind in runs if kind != "none" and "none" in runs):
        gained, share = points(runs, kind), runs[kind][0]["trained_share"]
        speed, memory, size = (
            median(run[name] for run in runs[kind]) / median(run[name] for run in runs["none"])
            for name in ("examples_per_second", "peak_memory_bytes", "checkpoint_bytes")
        )
        mean = sum(gained) / len(gained)
        found.append(
            Claim(
                field=TEXT,
                what=f"`peft={kind}` against all parameters of minilm, movie_reviews, {len(gained)} seeds",
                measured=f"{share:.2%} trained, {mean:+.1f} points of accuracy, {speed:.2f}x the examples/s, "
                f"{memory:.2f}x the memory, {size:.2f}x the checkpoint",
                goal=f"{MOST_SHARE:.0%} trained, {-MOST_POINTS:+g} point" if kind == "lora" else "",
                is_met=share <= MOST_SHARE and mean >= -MOST_POINTS if kind == "lora" else None,
            )
        )
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
