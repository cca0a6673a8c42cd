"""Steps as CUDA graphs, on a GPU: `pytest -m gpu`."""

import os
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from aiexp.checkpoint.state import seed_everything
from aiexp.errors import ConfigError
from aiexp.task.base import Task, Update
from aiexp.trainer.stepper import Stepper
from tests.toys import (
    Points,
    Recordable,
    check_a_loss_that_is_not_finite,
    make_hardware,
    make_trainer,
    weights,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
if torch.cuda.is_available():
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, with the first matrix product


def make_stepper(task: Task, **changes: Any) -> Stepper:
    hardware = make_hardware(device="gpu", **changes)
    hardware.prepare(task)
    return Stepper(task, hardware, schedule=make_trainer().schedule, total_steps=99, clip=1.0)


def test_replayed_steps_are_those_of_a_run_without_graphs() -> None:
    ends: list[Any] = []
    for cuda_graphs in (False, True):
        seed_everything(0)
        task = Recordable()
        stepper = make_stepper(task, cuda_graphs=cuda_graphs)
        for number, batch in zip(range(1, 31), Points(10).train_batches(0), strict=False):
            stepper.step(number, [batch])
        ends.append((weights(task), stepper.take_metrics(), stepper.state()["optimizers"]["model"]))
        assert (stepper.captures is not None and len(stepper.captures.recorded) == 2) == cuda_graphs
    torch.testing.assert_close(ends[1][0], ends[0][0], atol=1e-5, rtol=1e-5)
    assert ends[1][1] == pytest.approx(ends[0][1], rel=1e-4)
    assert ends[1][2]["param_groups"] == ends[0][2]["param_groups"]


@contextmanager
def no_waits() -> Generator[None]:
    """A body in which a call that waits for the GPU raises RuntimeError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_no_step_between_two_lines_waits_for_the_gpu() -> None:
    task = Recordable()
    stepper = make_stepper(task)
    batches = Points(10).train_batches(0)
    with no_waits():
        for number in range(1, 7):
            stepper.step(number, [next(batches)])
    for number in range(7, 13):  # recording waits, once for each layout
        stepper.step(number, [next(batches)])
    with no_waits():
        for number in range(13, 30):
            stepper.step(number, [next(batches)])
    assert stepper.captures is not None
    assert len(stepper.captures.recorded) == 2
    assert stepper.take_metrics()["train/loss"] > 0


def test_a_replayed_loss_that_is_not_finite_changes_no_weight() -> None:
    task = Recordable()
    stepper = make_stepper(task)
    check_a_loss_that_is_not_finite(stepper, task)


class Reading(Recordable):
    def train_step(self, batch: Any) -> Iterator[Update]:
        yield Update(loss=self.model(batch["x"]).sum() * float(batch["x"].sum().item()))


def test_a_step_that_reads_from_the_gpu_cannot_be_recorded() -> None:
    """In a process of its own, since CUDA's random numbers do not survive it."""
    code = "from tests.hardware.test_cuda_graphs import record_what_reads; record_what_reads()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def record_what_reads() -> None:
    stepper = make_stepper(Reading())
    batches = Points(8).train_batches(0)
    for number in range(1, 3):
        stepper.step(number, [next(batches)])
    with pytest.raises(ConfigError, match="cannot be recorded as a CUDA graph"):
        stepper.step(3, [next(batches)])
