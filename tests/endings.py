"""What must be equal of a run that was killed and resumed and of one that was not; and the killing."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.trainer.trainer import Loop


def digest(directory: RunDirectory) -> str:
    """sha256 of the newest checkpoint's tensors, blocks and state, and of all metric lines; no times."""
    path = max((directory.path / "checkpoints").glob("step-????????"))
    state = json.loads((path / "state.json").read_text())["state"]
    del state["session"]  # holds times
    state["stepper"]["window"] = without_times(state["stepper"]["window"])
    lines = [without_times(line) for line in read_metrics(directory.path / "metrics.jsonl")]
    ranks = [json.loads(file.read_text()) for file in sorted(path.glob("ranks/*.json"))]
    for rank in ranks:
        rank["state"]["window"] = without_times(rank["state"]["window"])
    files = [path / "model.safetensors", path / "training.safetensors"]
    files += sorted(file for file in path.rglob("*/*") if file.is_file() and file.suffix != ".json")
    said = json.dumps([state, ranks, lines] if ranks else [state, lines], sort_keys=True)
    parts = [file.read_bytes() for file in files] + [said.encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def at_step(number: int, action: Callable[[], object]) -> None:
    """Does something in this process, a fork, after the updates of a step, before they are recorded."""
    original = Loop.finish_step

    def finish_step(self: Loop) -> None:
        if self.step == number:
            action()
        original(self)

    Loop.finish_step = finish_step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(number: int) -> None:
    at_step(number, die)
