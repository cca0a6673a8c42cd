"""The updates of fp16: scaled, checked, skipped. On the CPU: torch can, the configuration refuses it."""

import pytest
import torch

from aiexp.checkpoint.state import join, split
from aiexp.errors import DivergedError
from aiexp.task.base import Task
from aiexp.trainer.stepper import Stepper
from tests.toys import Adversaries, Linear, Points, make_hardware, make_trainer, weights

SCALER = torch.amp.GradScaler


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def half(
    task: Task, monkeypatch: pytest.MonkeyPatch, *, scale: float, clip: float | None = None
) -> tuple[Stepper, torch.amp.GradScaler]:
    """A stepper in fp16 on the CPU, which the configuration refuses and torch can."""
    scaler = SCALER("cpu", init_scale=scale, growth_interval=3)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: {"cuda": scaler}[device])
    hardware = make_hardware()
    hardware.precision = "fp16"
    schedule = make_trainer().schedule
    return Stepper(task, hardware, schedule=schedule, total_steps=9, clip=clip), scaler


def test_the_scale_of_fp16_is_taken_out_before_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Linear(factor=10.0)
    stepper, scaler = half(task, monkeypatch, scale=1024.0, clip=0.5)
    before = weights(task)
    stepper.step(3, [next(Points().train_batches(0))])
    assert task.dtype == torch.float16
    assert all(p.dtype == torch.float32 for p in task.parameters())
    rate = stepper.optimizers["model"].param_groups[0]["lr"]
    assert rate > 0.5
    assert (weights(task) - before).norm().item() == pytest.approx(0.5 * rate, rel=1e-3)
    norm = stepper.take_metrics()["train/gradient_norm"]
    assert 1 < norm < 50, "the norm logged is the one without the scale"
    assert scaler.get_scale() == 1024.0


def test_fp16_without_clipping_is_fp32_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    task, other = Linear(), Linear()
    other.load_state_dict(task.state_dict())
    plain = Stepper(other, make_hardware(), schedule=make_trainer().schedule, total_steps=9, clip=None)
    stepper, _ = half(task, monkeypatch, scale=4096.0)
    batches = Points().train_batches(0)
    for number in range(1, 7):
        taken = [next(batches), next(batches)]
        stepper.step(number, taken)
        plain.step(number, taken)
    torch.testing.assert_close(weights(task), weights(other), atol=5e-3, rtol=0)
    assert not torch.equal(weights(task), weights(other))


def test_an_update_that_overflows_is_skipped_and_the_scale_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Linear()
    stepper, scaler = half(task, monkeypatch, scale=2.0**18, clip=1.0)
    before = weights(task)
    batches = Points().train_batches(0)
    stepper.step(1, [next(batches)])
    assert torch.equal(weights(task), before), "fp16 ends at 65504"
    assert scaler.get_scale() == 2.0**17
    metrics = stepper.take_metrics()
    assert "train/gradient_norm" not in metrics, "infinity is no number of a metrics file"
    steps = 1
    while torch.equal(weights(task), before):
        steps += 1
        stepper.step(steps, [next(batches)])
    assert 1 < steps < 8
    assert scaler.get_scale() == 2.0 ** (18 - (steps - 1))
    assert 0 < stepper.take_metrics()["train/gradient_norm"] < 100
    stepper.check_weights(steps)


def test_updates_that_always_overflow_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, scaler = half(Linear(factor=1e6), monkeypatch, scale=4.0)
    batches = Points().train_batches(0)
    for number in range(1, 3):
        stepper.step(number, [next(batches)])
        stepper.check_weights(number)
    stepper.step(3, [next(batches)])
    assert scaler.get_scale() == 0.5
    with pytest.raises(DivergedError, match="by step 3"):
        stepper.check_weights(3)


def test_each_update_of_a_step_is_scaled_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Adversaries(optimizer=torch.optim.SGD, lr=0.1)
    stepper, _ = half(task, monkeypatch, scale=256.0)
    before = {name: weights(getattr(task, name)) for name in ("discriminator", "generator")}
    stepper.step(3, [next(Points().train_batches(0))])
    for name, old in before.items():
        assert 1e-5 < (weights(getattr(task, name)) - old).abs().max() < 0.5, name


def test_a_checkpoint_holds_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grown and backed off as without the stop, and so the same weights bit for bit."""
    batches = [b for _, b in zip(range(8), Points().train_batches(0), strict=False)]
    task = Linear()
    begin = {k: v.clone() for k, v in task.state_dict().items()}
    stepper, scaler = half(task, monkeypatch, scale=2.0**18)
    for number in (1, 2, 3, 4, 5, 6, 7, 8):
        if number == 6:
            skeleton, tensors, _ = split(stepper.state())
            tensors = {k: v.clone() for k, v in tensors.items()}
            middle = {k: v.clone() for k, v in task.state_dict().items()}
        stepper.step(number, [batches[number - 1]])
    assert scaler.get_scale() != 2.0**18
    resumed = Linear()
    resumed.load_state_dict(begin)
    again, other = half(resumed, monkeypatch, scale=2.0**18)
    resumed.load_state_dict(middle)
    again.load_state(join(skeleton, tensors))
    for number in (6, 7, 8):
        again.step(number, [batches[number - 1]])
    assert torch.equal(weights(resumed), weights(task))
    assert other.state_dict() == scaler.state_dict()
