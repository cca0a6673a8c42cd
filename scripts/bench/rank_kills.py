"""Kills ranks and launchers of runs on two ranks at random moments and resumes them until they end.

    .venv/bin/python scripts/bench/rank_kills.py --json outputs/rank_kills.json     20 ranks and 20 launchers
    .venv/bin/python scripts/bench/rank_kills.py --kills 2 --tasks maml_sine --random 7

Each of four tasks first trains undisturbed. Then a process of a run of it gets SIGKILL, a rank or the
launcher in turn, when so many lines of metrics are written and a random moment later; `aiexp resume` goes on
and may be killed again. One that gets through must end in the weights, moments, state of each rank and metric
lines of the undisturbed run, and leave no process. Real training on generated data, a few steps a second.
"""

import argparse
import hashlib
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

import numpy as np
from PIL import Image
from side import write_json
from sweep_launchers import write_texts

COMMON = [
    "tracker=none", "hardware=cpu", "hardware.precision=fp32", "hardware.threads=1", "hardware.devices=2",
    "hardware.grace=30", "trainer.steps=40", "trainer.epochs=null", "trainer.checkpoint.every=5",
    "trainer.log_every=2", "trainer.evaluate_every=20",
]  # fmt: skip
DIGITS = [
    "dataset=image_folder", "dataset.train_folder=digits", "dataset.image_size=28", "dataset.channels=1",
    "dataset.mean=[0.5]", "dataset.std=[0.5]", "dataset.batch_size=16",
]  # fmt: skip
TASKS = {
    "bert_finetune": [
        "model=bert_tiny", "model.hidden_size=32", "model.intermediate_size=64", "dataset=text_files",
        "dataset.train_file=texts.csv", "dataset.batch_size=8",
    ],
    "mnist_cnn": DIGITS,
    "dcgan": [*DIGITS, "task.quality.classifier=null"],
    "maml_sine": ["dataset.eval_batch_size=50"],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of ranks, and as many of launchers")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    draw, result = random.Random(arguments.random), dict[str, Any]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(folder / "texts.csv")
        write_digits(folder / "digits")
        each = -(-arguments.kills // len(arguments.tasks))
        for task in arguments.tasks:
            result[task] = survive(folder, task, each, draw)
            print(
                f"{task:16}" + ", ".join(f"{count} {what}" for what, count in result[task].items()),
                flush=True,
            )
    write_json(arguments.json, result)


def survive(folder: Path, task: str, kills: int, draw: random.Random) -> dict[str, int]:
    """Kills so many ranks and so many launchers of runs of a task; stops the program at a difference."""
    words = ["run", f"task={task}", *TASKS[task], *COMMON]
    if start(folder, *words).wait():
        raise SystemExit(f"{task}: the undisturbed run failed")
    expected = digest(newest(folder, task))
    counts = {"ranks": 0, "launchers": 0, "runs": 0}
    while min(counts["ranks"], counts["launchers"]) < kills:
        before = newest(folder, task)
        process = start(folder, *words)
        while True:
            whom = "ranks" if counts["ranks"] <= counts["launchers"] else "launchers"
            counts[whom] += kill(process, folder, task, before, whom, draw)
            run = newest(folder, task)
            if run == before or not (run / "status.json").exists():
                break  # killed before the run began: nothing to resume
            if process.returncode == 0:
                check(run, expected)
                counts["runs"] += 1
                break
            process = start(folder, "resume", str(run))
    return counts


def kill(
    process: "subprocess.Popen[bytes]", folder: Path, task: str, before: Path, whom: str, draw: random.Random
) -> int:
    """Kills one process of a run after some further lines; 0 if the run came to its end first."""
    first = lines(newest(folder, task)) if newest(folder, task) != before else 0
    aim = first + draw.randrange(12)
    while process.poll() is None and (newest(folder, task) == before or lines(newest(folder, task)) < aim):
        time.sleep(0.02)
    ranks = children(process.pid)
    try:
        process.wait(timeout=draw.uniform(0, 0.4))
    except subprocess.TimeoutExpired:
        ranks = children(process.pid) or ranks
        victim = draw.choice(ranks) if whom == "ranks" and ranks else process.pid
        os.kill(victim, signal.SIGKILL)
        process.wait()
        until_gone(ranks)
        return 1
    until_gone(ranks)
    if process.returncode:
        raise SystemExit(f"{task}: a resumed run failed with exit code {process.returncode}")
    return 0


def start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Starts the command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "aiexp", *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def until_gone(pids: list[int]) -> None:
    """Waits for ranks that save and leave; stops the program if they do not."""
    end = time.monotonic() + 90
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > end:
            raise SystemExit(f"ranks {pids} outlive their launcher")
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def newest(folder: Path, task: str) -> Path:
    """The newest run directory; the folder where there is none."""
    runs = [path.parent for path in folder.glob(f"outputs/{task}/*/config.yaml")]
    return max(runs, default=folder)


def lines(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def check(run: Path, expected: str) -> None:
    """Stops the program unless a run has ended as the undisturbed one."""
    if digest(run) != expected:
        raise SystemExit(f"{run}: not the weights, state or metrics of the undisturbed run")


def digest(run: Path) -> str:
    """sha256 of what must be equal: the last checkpoint and all metric lines, without times."""
    path = max((run / "checkpoints").glob("step-????????"))
    state = json.loads((path / "state.json").read_text())["state"]
    del state["session"]  # holds times
    state["stepper"]["window"] = plain(state["stepper"]["window"])
    rows = [plain(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    files = [path / "model.safetensors", path / "training.safetensors", *sorted(path.glob("ranks/*"))]
    parts = [file.read_bytes() for file in files] + [json.dumps([state, rows], sort_keys=True).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def plain(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def write_digits(folder: Path) -> None:
    """80 pictures of noise in two classes."""
    random = np.random.default_rng(0)
    for number in range(80):
        place = folder / f"class-{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(place / f"{number}.png")


if __name__ == "__main__":
    main()
