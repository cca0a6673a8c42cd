"""How long does it take, and how much memory, to compare a thousand runs?

    python scripts/bench/compare.py                      1,000 runs of 500 points
    python scripts/bench/compare.py --runs 200 --rounds 1

Goals: table 2 s, page 5 s and 10 MB, memory 500 MB, on an idle core. Every call is a process of its own, as
typed; its processor time stands beside the time on the clock, which a busy machine stretches.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import COMPARING, Claim, write_json

from aiexp.config.compose import compose
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import FORMAT
from aiexp.rundir.seal import make_seal

SEEDS = 5


def make_runs(folder: Path, num_runs: int, num_points: int) -> None:
    """Writes run directories of a random search over 2 keys and a choice, 5 seeds each."""
    draw = random.Random(0)
    os.fsync = lambda fd: None  # thousands of files that are thrown away
    config = compose(["task=mnist_cnn"])
    from omegaconf import OmegaConf

    base = OmegaConf.to_container(config.config, resolve=True)
    assert isinstance(base, dict)
    sweep = folder / "mnist_cnn" / "2026-01-01_00-00-00_sweep_abcdef"
    rate = decay = 0.0
    model = "mnist_cnn"
    for i in range(num_runs):
        seed = i % SEEDS
        if seed == 0:
            rate, decay = 10 ** draw.uniform(-4, -1), draw.choice([0.0, 0.001, 0.01])
            model = draw.choice(["mnist_cnn", "mlp"])
        base["seed"] = base["dataset"]["seed"] = seed
        base["task"]["optimizer"] |= {"lr": rate, "weight_decay": decay}
        overrides = [f"seed={seed}", f"task.optimizer.lr={rate}", f"task.optimizer.weight_decay={decay}"]
        overrides.append(f"model={model}")
        run = sweep / f"2026-01-01_00-00-00_{i:04d}_lr={rate:.3g}_{i:06x}"
        write_run(run, base, overrides, {**config.choices, "model": model}, draw, num_points)


def write_run(
    run: Path, config: dict, overrides: list[str], choices: dict, draw: random.Random, num_points: int
) -> None:
    """One run directory."""
    run.mkdir(parents=True)
    RunDirectory(run).write_config(config, choices, overrides)
    goal = 0.99 - 0.02 * abs(math.log10(config["task"]["optimizer"]["lr"]) + 2.5) + draw.gauss(0, 0.002)
    lines: list[str] = []
    for step in range(1, num_points + 1):
        loss = math.exp(-step / 100) + 0.05 * draw.random()
        values = {
            "train/loss": loss,
            "train/accuracy": goal - loss / 3,
            "time/step_seconds": draw.random() / 50,
        }
        if step % 50 == 0:
            values |= {"eval/loss": loss, "eval/accuracy": goal - loss / 5}
        lines.append(json.dumps({"step": step * 10, **values}, separators=(",", ":")))
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    metrics = {"eval/accuracy": goal, "test/accuracy": goal, "test/loss": 1 - goal}
    status = {
        "format": FORMAT,
        "seal": make_seal(run, metrics),
        "better": {"eval/accuracy": "max", "test/accuracy": "max", "test/loss": "min"},
        "state": "finished",
        "exit_code": 0,
        "error": None,
        "metrics": metrics,
        "seconds": 90 + draw.random(),
    }
    (run / "status.json").write_text(json.dumps(status | {"peak_memory_bytes": 10**9}, indent=2))
    environment = {"packages": {f"package-{i}": "1.0" for i in range(200)}}
    environment["hardware"] = {"device": "cpu", "device_name": "Xeon", "precision": "auto", "threads": 1}
    (run / "environment.json").write_text(json.dumps(environment, indent=2))


def measure(words: list[str]) -> tuple[float, float, float, int]:
    """Seconds on the clock, seconds of the processor, peak megabytes and bytes printed of one call."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "aiexp", "compare", *words], stdout=output)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"aiexp compare {' '.join(words)} ended with {child.returncode}")
        size = os.fstat(output.fileno()).st_size
    return seconds, usage.ru_utime + usage.ru_stime, peak_megabytes(usage), size


def peak_megabytes(usage: resource.struct_rusage) -> float:
    """Largest resident size."""
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    goals = {"table": 2.0, "page": 5.0}
    found: list[Claim] = []
    for name, one in result["outputs"].items():
        measured = (
            f"{one['seconds']:.1f} s ({one['processor']:.1f} s of processor time), {one['mb']:.0f} MB of "
            f"memory, {one['output_mb']:.2f} MB written"
        )
        goal = goals.get(name)
        found.append(
            Claim(
                field=COMPARING,
                what=f"`aiexp compare` of {result['runs']:,} runs of {result['points']} points: {name}",
                measured=measured,
                goal="" if goal is None else f"{goal:g} s",
                is_met=None if goal is None else one["seconds"] <= goal,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), arguments.runs, arguments.points)
        print(f"{arguments.runs} runs of {arguments.points} points, best of {arguments.rounds} rounds")
        print(f"{'':24}{'clock':>10}{'processor':>12}{'memory':>10}{'output':>10}")
        for name, words in {
            "table": [],
            "table --by model": ["--by", "model"],
            "json": ["--format", "json"],
            "page": ["--format", "html"],
        }.items():
            rounds = [measure([folder, *words]) for _ in range(arguments.rounds)]
            seconds, processor, memory, size = (min(values) for values in zip(*rounds, strict=True))
            result[name] = {"seconds": seconds, "processor": processor, "mb": memory, "output_mb": size / 1e6}
            print(
                f"{name:24}{seconds:8.2f} s{processor:10.2f} s{memory:7.0f} MB{size / 1e6:7.2f} MB",
                flush=True,
            )
    sizes = {"runs": arguments.runs, "points": arguments.points}
    write_json(arguments.json, {**sizes, "outputs": result}, "plotly")


if __name__ == "__main__":
    main()
