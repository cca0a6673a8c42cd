"""Checkpoints written while training goes on: the same bytes, and the same ends, as if it had waited."""

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aiexp.checkpoint import writing
from aiexp.checkpoint.store import CheckpointPolicy, CheckpointStore
from aiexp.errors import DataError
from aiexp.rundir.directory import RunDirectory
from aiexp.task.base import Task
from aiexp.trainer.loop import Loop
from tests.endings import at_step, digest
from tests.forks import Ended, in_fork
from tests.toys import Adversaries, Classify, Replay, new_run
from tests.trainer.test_resume import STEPS, train

WRITE = writing.write_safetensors


def policy(asynchronous: bool) -> CheckpointPolicy:
    return CheckpointPolicy(every=3, keep_last=9, asynchronous=asynchronous)


def write_late(by: int) -> list[int]:
    """From now on files are written when training is so many steps further; returns how far it was."""
    now, seen = [0], list[int]()
    finish_step = Loop.finish_step

    def noting(self: Loop) -> None:
        now[0] = self.step
        finish_step(self)

    def late(path: Path, tensors: Any) -> Any:
        step, deadline = int(path.parent.name[-8:]), time.monotonic() + 5
        while now[0] < min(step + by, STEPS) and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append(now[0] - step)
        return WRITE(path, tensors)

    Loop.finish_step, writing.write_safetensors = noting, late
    return seen


@pytest.mark.parametrize("task_class", [Classify, Adversaries, Replay])
def test_what_is_written_is_the_state_of_its_step(tmp_path: Path, task_class: type[Task]) -> None:
    waiting, going = (new_run(tmp_path, name) for name in ("waiting", "going"))
    train(waiting, task_class, evaluate_every=3, checkpoint=policy(False))

    def body() -> None:
        seen = write_late(2)
        train(going, task_class, evaluate_every=3, checkpoint=policy(True))
        assert max(seen) >= 2

    ended = in_fork(body, tmp_path)
    assert ended.code == 0, ended.stderr
    assert digest(going) == digest(waiting)
    files = sorted(
        path.relative_to(waiting.path) for path in waiting.path.glob("checkpoints/*/*.safetensors")
    )
    assert len(files) >= 2 * STEPS / 3
    for file in files:
        assert (going.path / file).read_bytes() == (waiting.path / file).read_bytes(), file


def ends(tmp_path: Path, directory: RunDirectory, asynchronous: bool, fault: Any) -> Ended:
    def body() -> None:
        fault()
        train(directory, Classify, evaluate_every=3, checkpoint=policy(asynchronous))

    return in_fork(body, tmp_path)


def fill_the_disk() -> None:
    """From now on nothing of step 6 can be written."""
    write = writing.write_safetensors

    def full(path: Path, tensors: Any) -> Any:
        written = write(path, tensors)
        if "00000006" in path.parent.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    writing.write_safetensors = full


def write_slowly() -> None:
    """From now on a file takes a tenth of a second."""

    def slow(path: Path, tensors: Any) -> Any:
        time.sleep(0.1)
        return WRITE(path, tensors)

    writing.write_safetensors = slow


@pytest.mark.parametrize("late", [0, 1])
def test_a_full_disk_ends_the_run_as_if_it_had_waited(tmp_path: Path, late: int) -> None:
    """Noticed at a step, or only when the next checkpoint waits for this one."""

    said: list[str] = []
    for asynchronous in (False, True):

        def fault(by: int = 3 * late * asynchronous) -> None:
            write_late(by)
            fill_the_disk()

        (tmp_path / str(asynchronous)).mkdir()
        directory = new_run(tmp_path / str(asynchronous))
        ended = ends(tmp_path, directory, asynchronous, fault)
        assert ended.code == 8
        said.append(ended.stderr.replace(str(directory.path), "").split("(")[0])
        status = directory.read_json("status.json")
        assert (status["state"], status["exit_code"], status["step"]) == ("failed", 8, 3)
        store = CheckpointStore(directory.path / "checkpoints")
        assert store.newest_valid() == (3, [])
        assert [path.name for path in store.directory.iterdir()] == ["step-00000003"]
    assert said[0] == said[1]
    assert "no space left while writing the checkpoint of step 6" in said[0]


def test_what_is_being_written_outlives_an_error(tmp_path: Path) -> None:
    directory = new_run(tmp_path)

    def fault() -> None:
        write_slowly()

        def unreadable() -> None:
            raise DataError("picture 17 cannot be read")

        at_step(4, unreadable)

    assert ends(tmp_path, directory, True, fault).code == 3
    assert CheckpointStore(directory.path / "checkpoints").newest_valid() == (3, [])
    assert directory.read_json("status.json")["step"] == 3


@pytest.mark.parametrize("step", [3, 4])
def test_a_stop_waits_for_what_is_being_written(tmp_path: Path, step: int) -> None:
    whole, directory = new_run(tmp_path, "whole"), new_run(tmp_path, "stopped")
    train(whole, Classify, evaluate_every=3, checkpoint=policy(False))

    def fault() -> None:
        write_slowly()
        at_step(step, lambda: os.kill(os.getpid(), signal.SIGTERM))

    ended = ends(tmp_path, directory, True, fault)
    assert ended.code == 143
    assert f"stopped, step {step} is saved" in ended.stderr
    assert directory.read_json("status.json")["step"] == step
    train(directory, Classify, evaluate_every=3, checkpoint=policy(True))
    assert digest(directory) == digest(whole)
