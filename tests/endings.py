"""What must be equal of a run that was killed and resumed and of one that was not; and the killing."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.trainer.loop import Loop
from tests.forks import in_fork


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


def check_killed_and_resumed(words: list[str], step: int, folder: Path) -> None:
    """A run that gets SIGKILL after the updates of a step, resumed at once, ends as one that does not."""

    def run(name: str, before: Callable[[], object]) -> int:
        def body() -> int:
            before()
            return cli.main(["run", *words, f"outputs={folder / name}"])

        return in_fork(body, folder, seconds=100).code

    assert run("whole", lambda: None) == 0
    assert run("killed", lambda: die_at(step)) == -signal.SIGKILL
    killed, whole = (RunDirectory(folder / name / "latest") for name in ("killed", "whole"))
    assert in_fork(lambda: cli.main(["resume", str(killed.path)]), folder, seconds=100).code == 0
    assert digest(killed) == digest(whole)
