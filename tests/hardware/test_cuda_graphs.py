"""Steps as CUDA graphs, on a GPU: `pytest -m gpu`."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aiexp.checkpoint.state import seed_everything
from aiexp.errors import ConfigError, DivergedError, Stopped
from aiexp.task.base import Task, Update
from aiexp.trainer.stepper import Stepper
from aiexp.trainer.trainer import Loop
from tests.endings import at_step, digest
from tests.hardware.test_gpu import train
from tests.toys import FUSED, Classify, Points, make_hardware, make_trainer, new_run, weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
if torch.cuda.is_available():
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, with the first matrix product


class Recordable(Task):
    """Dropout and batch norm, whose random numbers and statistics a replay has to carry on."""

    capturable = True

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 3)
        )

    def train_step(self, batch: Any) -> Iterator[Update]:
        logits = self.model(batch["x"])
        accuracy = (logits.argmax(1) == batch["y"]).float().mean()
        yield Update(loss=F.cross_entropy(logits.float(), batch["y"]), metrics={"accuracy": accuracy})

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": FUSED(self.model.parameters(), lr=0.01)}

    evaluate = Classify.evaluate


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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopped_and_resumed_it_ends_in_the_same_bytes(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {"precision": precision, "deterministic": True}
    try:
        whole, broken = new_run(tmp_path, "whole"), new_run(tmp_path, "broken")
        train(whole, Recordable, **changes)
        with monkeypatch.context() as patch:
            patch.setattr(Loop, "finish_step", Loop.finish_step)
            at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Stopped):
                train(broken, Recordable, **changes)
        torch.manual_seed(99)
        train(broken, Recordable, **changes)
        assert digest(broken) == digest(whole)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_replayed_loss_that_is_not_finite_changes_no_weight() -> None:
    task = Recordable()
    stepper = make_stepper(task)
    batches = Points(8).train_batches(0)
    for number in range(1, 9):
        stepper.step(number, [next(batches)])
    stepper.check_weights(8)
    before, bad = weights(task), next(batches)
    stepper.step(9, [bad | {"x": bad["x"] * float("nan")}])
    for number in range(10, 14):
        stepper.step(number, [next(batches)])
    assert torch.equal(weights(task), before)
    with pytest.raises(DivergedError, match=r"loss 'model' is nan at step 9; the update was not applied"):
        stepper.take_metrics()


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
