"""What a sweep costs beside training: 16 short jobs with our launcher, Hydra's, and one interpreter a job.

    python scripts/bench/sweep_launchers.py                       3 rounds, every launcher
    python scripts/bench/sweep_launchers.py --rounds 1 --jobs 4 --only local joblib

Every side trains the same jobs (a tiny encoder on 90 sentences, one thread) with the same aiexp; only what
starts them differs. Training itself is what one of them takes in a process that has done the like before:
the median of Hydra's basic launcher, which runs all jobs in one process. With two jobs at a time, 16 of them
cannot take less than 8 times that; the rest, shared among the jobs, is the launcher's cost.
Needs: pip install "aiexp[slurm]" hydra-joblib-launcher
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from side import COMPARING, Claim, write_json

JOB = [
    "task=bert_finetune", "model=bert_tiny", "model.hidden_size=32", "model.intermediate_size=64",
    "dataset=text_files", "dataset.train_file=texts.csv", "dataset.batch_size=8", "tracker=none",
    "hardware=cpu", "hardware.precision=fp32", "hardware.threads=1", "trainer.steps=20",
    "trainer.epochs=null",
]  # fmt: skip
SLOTS = 2
LAUNCHERS = {
    "local": ["hydra/launcher=local", f"hydra.launcher.n_jobs={SLOTS}"],
    "joblib": ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={SLOTS}"],
    "submitit_local": ["hydra/launcher=submitit_local"],
    "basic": ["hydra/launcher=basic"],
}
SIDES = (*LAUNCHERS, "interpreters")


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    walls = {side: median(seconds) for side, seconds in result["wall_seconds"].items()}
    jobs, found = result["jobs"], list[Claim]()
    if result["training_seconds"]:
        over = (walls["local"] - jobs * median(result["training_seconds"]) / SLOTS) / jobs
        found.append(
            Claim(
                field=COMPARING,
                what=f"a sweep of {jobs} short jobs: cost of a job over its training",
                measured=f"{over:.2f} s",
                goal="0.6 s",
                is_met=over <= 0.6,
            )
        )
    others = {side: wall for side, wall in walls.items() if side not in ("local", "basic")}
    if others:
        ratios = ", ".join(f"{wall / walls['local']:.2f}x {side}" for side, wall in others.items())
        what = f"a sweep of {jobs} short jobs, the whole of it, against other launchers"
        found.append(
            Claim(field=COMPARING, what=what, measured=f"{walls['local']:.1f} s; as fast as: {ratios}")
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    walls: dict[str, list[float]] = {side: [] for side in arguments.only}
    training: list[float] = []
    for number in range(arguments.rounds):
        for side in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                seconds, runs = measure(side, Path(folder), arguments.jobs)
            walls[side].append(seconds)
            if side == "basic":
                training += runs[1:]
            print(f"round {number}  {side:<15} {seconds:6.1f} s", file=sys.stderr, flush=True)
    report(walls, median(training) if training else None, arguments.jobs)
    result = {"jobs": arguments.jobs, "training_seconds": training, "wall_seconds": walls}
    write_json(arguments.json, result, "hydra-core", "submitit")


def report(walls: dict[str, list[float]], training: float | None, jobs: int) -> None:
    """The table."""
    if training is not None:
        print(
            f"training itself: {training:.2f} s a job, {jobs} jobs, {SLOTS} at once where a side can choose"
        )
    ours = median(walls["local"]) if "local" in walls else None
    print(f"{'launcher':<15} {'wall s':>7} {'range':>15} {'s a job over training':>22} {'/ ours':>7}")
    for side, seconds in walls.items():
        slots = 1 if side == "basic" else SLOTS
        over = "" if training is None else f"{(median(seconds) - jobs * training / slots) / jobs:.2f}"
        ratio = "" if ours is None else f"{median(seconds) / ours:.2f}"
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        print(f"{side:<15} {median(seconds):>7.1f} {spread:>15} {over:>22} {ratio:>7}")


def measure(side: str, folder: Path, jobs: int) -> tuple[float, list[float]]:
    """Wall seconds of all jobs, and what each run says of itself."""
    write_texts(folder / "texts.csv")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    aiexp = [sys.executable, "-m", "aiexp", "run", *JOB]

    def call(words: list[str]) -> None:
        done = subprocess.run([*aiexp, *words], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{side}: {done.stderr[-2000:]}")

    start = time.perf_counter()
    if side == "interpreters":
        with ThreadPoolExecutor(SLOTS) as pool:
            list(pool.map(lambda seed: call([f"seed={seed}"]), range(jobs)))
    else:
        call(["-m", f"seed=range({jobs})", *LAUNCHERS[side]])
    seconds = time.perf_counter() - start
    statuses = [json.loads(p.read_text()) for p in sorted(folder.rglob("status.json"))]
    unfinished = [s for s in statuses if s["state"] != "finished"]
    if len(statuses) != jobs or unfinished:
        raise SystemExit(f"{side}: {len(statuses)} of {jobs} jobs, unfinished: {unfinished}")
    shutil.rmtree(folder / "outputs")
    return seconds, [s["seconds"] for s in statuses]


def write_texts(path: Path) -> None:
    """90 sentences of two kinds."""
    kinds = [("a dull and weak", "neg"), ("a warm and great", "pos")]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((f"{kinds[i % 2][0]} film number {i}", kinds[i % 2][1]) for i in range(90))


if __name__ == "__main__":
    main()
