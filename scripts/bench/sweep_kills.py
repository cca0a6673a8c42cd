"""Kills a sweep of 8 jobs at random moments and resumes it, until it has survived so many times.

    python scripts/bench/sweep_kills.py                20 kills
    python scripts/bench/sweep_kills.py --kills 3 --random 7

The process of the sweep gets SIGKILL, so nothing can be tidied up; a resumed sweep may be killed again.
One that gets through is compared with one that nobody disturbed: each job finished once, in one run
directory, with the same metrics. Real training: a tiny encoder, 8 seeds, two jobs at a time.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from sweep_launchers import JOB, write_texts

WORDS = [
    "run", "-m", *JOB, "seed=range(8)", "trainer.steps=60", "trainer.checkpoint.every=20",
    "hydra.launcher.n_jobs=2",
]  # fmt: skip
SWEEPS = "outputs/bert_finetune/*_sweep_*"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--random", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.random)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder / "texts.csv")
        if aiexp(folder, *WORDS).wait():
            raise SystemExit("the undisturbed sweep failed")
        (whole,) = sweeps(folder)
        length = progress(folder)
        print(f"undisturbed: {length} lines written", flush=True)
        kills = rounds = 0
        while kills < arguments.kills:
            process = aiexp(folder, *WORDS)
            while True:
                lines = progress(folder) + draw.randrange(length // 2)
                kills += kill_or_wait(process, folder, lines, draw.uniform(0, 0.5))
                sweep = sweeps(folder)[-1]
                if sweep == whole or not (sweep / "sweep.yaml").exists():
                    break  # killed before the sweep began: nothing to resume
                if process.returncode == 0:
                    compare(whole, sweep)
                    break
                process = aiexp(folder, "resume", str(sweep))
            rounds += 1
            print(f"sweep {rounds}: {kills} kills so far, same results", flush=True)


def aiexp(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Starts the command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "aiexp", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


def kill_or_wait(process: "subprocess.Popen[bytes]", folder: Path, lines: int, seconds: float) -> int:
    """Kills a process some seconds after so many lines are written in all; 1 if that was before its end."""
    while process.poll() is None and progress(folder) < lines:
        time.sleep(0.05)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return 1
    if process.returncode:
        raise SystemExit(f"a resumed sweep failed with exit code {process.returncode}")
    return 0


def progress(folder: Path) -> int:
    """Lines of all ledgers and metrics, which tell how far a sweep is on a machine of any speed."""
    files = [path for name in ("ledger.jsonl", "*/metrics.jsonl") for path in folder.glob(f"{SWEEPS}/{name}")]
    return sum(path.read_bytes().count(b"\n") for path in files)


def sweeps(folder: Path) -> list[Path]:
    """Sweep directories, in the order they were started."""
    return sorted(folder.glob(SWEEPS))


def compare(whole: Path, sweep: Path) -> None:
    """Stops the program unless two sweeps have the same results, each job once."""
    ended = [
        json.loads(line) for line in (sweep / "ledger.jsonl").read_bytes().splitlines() if b'"ended"' in line
    ]
    finished = sorted(event["job"] for event in ended if event["state"] == "finished")
    runs, expected = results(sweep), results(whole)
    if len(set(finished)) < len(finished) or runs != expected:
        different = [i for i in expected if runs.get(i) != expected[i]]
        raise SystemExit(f"{sweep}: finished {finished}, different {different}")


def results(sweep: Path) -> dict[int, list[dict[str, Any]]]:
    """For each job its metrics without times; stops the program when one has two run directories."""
    found: dict[int, list[dict[str, Any]]] = {}
    for path in sweep.glob("*/status.json"):
        index = int(path.parent.name.split("_")[2])
        if index in found or json.loads(path.read_text())["state"] != "finished":
            raise SystemExit(f"{path}: a second run directory, or not finished")
        lines = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        found[index] = [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]
    return found


if __name__ == "__main__":
    main()
