"""What only a CUDA device shows: `pytest -m gpu`. Without one each of these skips and says so."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aiexp.checkpoint.state import seed_everything
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.base import Task, Update
from aiexp.trainer.selection import Selection
from aiexp.trainer.stepper import Stepper
from tests.endings import at_step, digest
from tests.toys import (
    NO_AVERAGE,
    Adversaries,
    Classify,
    Linear,
    Points,
    Recordable,
    make_hardware,
    make_trainer,
    new_run,
    weights,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
if torch.cuda.is_available():
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, with the first matrix product
LAST = Selection(monitor=None, mode="max", patience=None, average=NO_AVERAGE)


def make_stepper(task: Task, **changes: Any) -> Stepper:
    hardware = make_hardware(device="gpu", **changes)
    hardware.prepare(task)
    return Stepper(task, hardware, schedule=make_trainer().schedule, total_steps=99, clip=1.0)


def steps(stepper: Stepper, count: int) -> None:
    for number, batch in zip(range(1, count + 1), Points().train_batches(0), strict=False):
        stepper.step(number, [batch])


def train(directory: RunDirectory, task_class: Callable[[], Task], **changes: Any) -> Task:
    """One process's share of a run on the GPU."""
    hardware = make_hardware(device="gpu", **changes)
    with Session(directory, directory.read_config()) as session:
        seed_everything(0)
        task = task_class()
        trainer = make_trainer(steps=12, selection=LAST)
        session.finish(trainer.fit(task, Points(), hardware, session))
    return task


def test_the_device_is_found_and_named() -> None:
    hardware = make_hardware(device="auto", precision="auto")
    assert hardware.device_type == "cuda"
    assert hardware.precision == ("bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32")
    assert hardware.record()["device_name"] == torch.cuda.get_device_name()
    assert torch.cuda.get_device_name() in hardware.describe()


def test_one_step_in_fp32_is_that_of_the_cpu() -> None:
    ends: list[torch.Tensor] = []
    for device in ("cpu", "gpu"):
        torch.manual_seed(0)
        task = Linear()
        hardware = make_hardware(device=device)
        hardware.prepare(task)
        steps(Stepper(task, hardware, schedule=make_trainer().schedule, total_steps=9, clip=1.0), 5)
        ends.append(weights(task).cpu())
    assert {p.device.type for p in task.parameters()} == {"cuda"}
    torch.testing.assert_close(ends[1], ends[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_autocast_reaches_the_task_and_the_weights_stay_fp32(precision: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    task = Linear()
    stepper = make_stepper(task, precision=precision)
    before = weights(task)
    steps(stepper, 4)
    assert task.dtype == dtype
    assert {p.dtype for p in task.parameters()} == {torch.float32}
    assert not torch.equal(weights(task), before)
    assert (stepper.scaler is not None) == (precision == "fp16")


def test_an_fp16_update_that_overflows_is_skipped_and_the_scale_halves() -> None:
    task = Linear(factor=1e4)  # times the first scale of 65536 it is far beyond 65504
    stepper = make_stepper(task, precision="fp16")
    assert stepper.scaler is not None
    before, scale = weights(task), stepper.scaler.get_scale()
    steps(stepper, 1)
    assert torch.equal(weights(task), before)
    assert stepper.scaler.get_scale() == scale / 2
    assert "train/gradient_norm" not in stepper.take_metrics()
    steps(stepper, 20)
    assert not torch.equal(weights(task), before)
    stepper.check_weights(21)


@pytest.mark.parametrize("task_class", [Classify, Adversaries])
def test_compiled_networks_compute_the_same(task_class: type[Task]) -> None:
    ends: list[torch.Tensor] = []
    for is_compiled in (False, True):
        torch._dynamo.reset()
        seed_everything(0)
        task = task_class()
        if isinstance(task, Classify):
            task.model[4] = nn.Dropout(0.0)  # drawn by another generator when compiled
        steps(make_stepper(task, compile=is_compiled), 3)
        ends.append(weights(task))
    torch.testing.assert_close(ends[1], ends[0], atol=1e-3, rtol=1e-3)


def test_filters_lie_channels_last_and_so_do_their_outputs() -> None:
    task = Linear()
    task.model = nn.Conv2d(4, 8, 3)
    make_hardware(device="gpu").prepare(task)
    images = torch.rand(2, 4, 9, 9, device="cuda").contiguous(memory_format=torch.channels_last)
    assert task.model.weight.is_contiguous(memory_format=torch.channels_last)
    assert task.model(images).is_contiguous(memory_format=torch.channels_last)


class Nondeterministic(Linear):
    """A loss whose gradient CUDA adds up in no fixed order, and has no other kernel for."""

    def train_step(self, batch: Any) -> Iterator[Update]:
        pictures = self.model(batch["x"]).reshape(1, 1, 1, -1).expand(1, 1, 4, -1)
        grid = torch.zeros(1, 3, 3, 2, device=pictures.device)
        yield Update(loss=F.grid_sample(pictures, grid, align_corners=False).mean())


def test_deterministic_refuses_what_is_not() -> None:
    try:
        steps(make_stepper(Nondeterministic()), 1)
        with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
            steps(make_stepper(Nondeterministic(), deterministic=True), 1)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("task_class", [Classify, Adversaries, Recordable])
def test_stopped_and_resumed_it_ends_in_the_same_bytes(
    tmp_path: Path, task_class: type[Task], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: CUDA does not survive a fork."""
    from aiexp.errors import Stopped
    from aiexp.trainer.loop import Loop

    changes: dict[str, Any] = {"precision": precision, "deterministic": True}
    try:
        whole, broken = new_run(tmp_path, "whole"), new_run(tmp_path, "broken")
        train(whole, task_class, **changes)
        with monkeypatch.context() as patch:
            patch.setattr(Loop, "finish_step", Loop.finish_step)
            at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Stopped):
                train(broken, task_class, **changes)
        assert broken.read_json("status.json")["step"] == 7
        torch.manual_seed(99)  # whatever a new process would have begun with
        train(broken, task_class, **changes)
        assert digest(broken) == digest(whole)
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_random_numbers_of_the_device_are_in_the_state() -> None:
    from aiexp.checkpoint.state import join, load_random_state, random_state, split

    seed_everything(3)
    torch.rand(5, device="cuda")
    skeleton, tensors, _ = split(random_state())
    first = torch.rand(100, device="cuda")
    load_random_state(join(skeleton, tensors))
    assert torch.equal(torch.rand(100, device="cuda"), first)


def test_a_step_leaves_no_memory_behind() -> None:
    torch.manual_seed(0)
    stepper = make_stepper(Adversaries())
    steps(stepper, 3)
    torch.cuda.reset_peak_memory_stats()
    peak = 0
    stepper.take_metrics()
    after = torch.cuda.memory_allocated()
    for _ in range(3):
        steps(stepper, 3)
        stepper.take_metrics()
        assert torch.cuda.memory_allocated() == after
        peak = max(peak, torch.cuda.max_memory_allocated())
    assert after < peak < after + 2**20


def test_more_memory_than_there_is_is_the_users_error(tmp_path: Path) -> None:
    from aiexp.errors import MemoryFullError

    class Greedy(Linear):
        def train_step(self, batch: Any) -> Iterator[Update]:
            total = torch.cuda.get_device_properties(0).total_memory
            yield Update(loss=self.model(batch["x"]).sum() * torch.empty(total, device="cuda").sum())

    with pytest.raises(MemoryFullError, match=r"dataset\.batch_size"):
        train(new_run(tmp_path), Greedy)
