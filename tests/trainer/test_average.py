"""Averaged weights: those of an average by hand, exact after a kill. Profiles of steps."""

import copy
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aiexp.checkpoint.state import seed_everything
from aiexp.errors import ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.trainer.average import Average, Averaging
from aiexp.trainer.selection import Selection
from tests.endings import die_at, digest
from tests.forks import in_fork
from tests.toys import Classify, Points, make_hardware, make_trainer, new_run

STEPS = 12
EMA = Average(kind="ema", decay=0.9, start=0.0)
SWA = Average(kind="swa", decay=0.0, start=0.5)


class Followed(Classify):
    """Remembers its weights after every step, and those that it was evaluated with."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: list[Tensor] = []
        self.evaluated: list[Tensor] = []

    def train_step(self, batch: Any) -> Any:
        yield from super().train_step(batch)
        self.trained.append(vector(self))

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        self.evaluated.append(vector(self))
        return super().evaluate(*arguments, **options)


def vector(task: torch.nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in task.parameters()])


def train(directory: RunDirectory, average: Average, task: Any = None, **changes: Any) -> Any:
    hardware = make_hardware()
    with Session(directory, directory.read_config()) as session:
        seed_everything(0)
        task = task or Classify()
        selection = Selection(monitor=None, mode="max", patience=None, average=average)
        trainer = make_trainer(
            **({"steps": STEPS, "selection": selection, "evaluate_every": STEPS} | changes)
        )
        session.finish(trainer.fit(task, Points(), hardware, session))
    return task


def ema_by_hand(weights: list[Tensor]) -> Tensor:
    mean = weights[0]
    for count, tensor in enumerate(weights[1:], 1):
        decay = min(0.9, (1 + count) / (10 + count))
        mean = decay * mean + (1 - decay) * tensor
    return mean


@pytest.mark.parametrize("average", [EMA, SWA], ids=["ema", "swa"])
def test_the_average_is_what_is_evaluated_and_kept(tmp_path: Path, average: Average) -> None:
    directory = new_run(tmp_path)
    task = Followed()
    train(directory, average, task)
    by_hand = ema_by_hand(task.trained) if average is EMA else torch.stack(task.trained[5:]).mean(0)
    assert len(task.trained) == STEPS
    for evaluated in task.evaluated:  # eval, then test
        assert torch.allclose(evaluated, by_hand, atol=1e-6)
    with Session(directory, directory.read_config()) as session:
        kept = session.checkpoints.load_weights(STEPS)
    loaded = Classify()
    loaded.load_state_dict(kept)
    assert torch.allclose(vector(loaded), by_hand, atol=1e-6)


def test_training_does_not_notice_the_average(tmp_path: Path) -> None:
    seed_everything(0)
    plain = Followed()
    averaged = copy.deepcopy(plain)
    train(new_run(tmp_path, "a"), Average(kind="none", decay=0.0, start=0.0), plain, evaluate_every=3)
    train(new_run(tmp_path, "b"), EMA, averaged, evaluate_every=3)
    assert all(torch.equal(a, b) for a, b in zip(plain.trained, averaged.trained, strict=True))
    assert not torch.equal(plain.evaluated[0], averaged.evaluated[0])


def test_the_best_average_is_tested_when_a_metric_is_monitored(tmp_path: Path) -> None:
    directory, task = new_run(tmp_path), Followed()
    selection = Selection(
        monitor="eval/loss", mode="max", patience=None, average=EMA
    )  # the first is the best
    train(directory, EMA, task, selection=selection, evaluate_every=2)
    best = directory.read_json("status.json")["best_step"]
    assert best == 2
    assert torch.allclose(task.evaluated[-1], ema_by_hand(task.trained[:2]), atol=1e-6)


@pytest.mark.parametrize("average", [EMA, pytest.param(SWA, marks=pytest.mark.slow)], ids=["ema", "swa"])
def test_killed_at_every_step(tmp_path: Path, average: Average) -> None:
    reference = new_run(tmp_path, "reference")
    train(reference, average, evaluate_every=4)
    for number in range(1, STEPS + 1, 2):
        directory = new_run(tmp_path, f"killed-{number}")

        def killed(number: int = number, directory: RunDirectory = directory) -> None:
            die_at(number)
            train(directory, average, evaluate_every=4)

        assert in_fork(killed, tmp_path).code == -signal.SIGKILL
        train(directory, average, evaluate_every=4)
        assert digest(directory) == digest(reference), f"killed at step {number}"


def test_tied_weights_and_counters_are_averaged_once() -> None:
    class Tied(Classify):
        def __init__(self) -> None:
            super().__init__()
            self.other = self.model if hasattr(self, "model") else next(self.children())
            self.register_buffer("seen", torch.tensor(0))
            self.register_buffer("scale", torch.tensor(1.0), persistent=False)

    task = Tied()
    averaging = Averaging(Average(kind="swa", decay=0.0, start=0.0), task, 2)
    before = vector(task)
    averaging.update(1)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(2.0)
        task.seen += 3
    averaging.update(2)
    with averaging.used():
        assert torch.allclose(vector(task), before + 1)
        assert task.seen == 3
    assert torch.allclose(vector(task), before + 2)


def test_no_average_at_all_is_said() -> None:
    with pytest.raises(ConfigError, match=r"decay 0\.0 is no average"):
        Average(kind="ema", decay=0.0, start=0.0)


def test_a_profile_says_where_the_time_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = new_run(tmp_path)
    train(directory, Average(kind="none", decay=0.0, start=0.0), profile=3)
    said = capsys.readouterr().out
    assert "profile   of 3 steps" in said
    assert "a training step" in (directory.path / "profile/table.txt").read_text()
    events = json.loads((directory.path / "profile/trace.json").read_text())["traceEvents"]
    assert sum(event.get("name") == "a training step" and event["ph"] == "X" for event in events) == 3


def test_a_profile_of_more_steps_than_there_are_holds_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(new_run(tmp_path), Average(kind="none", decay=0.0, start=0.0), profile=100)
    assert "profile   of 7 steps" in capsys.readouterr().out
