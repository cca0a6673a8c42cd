"""`aiexp check --resume`: what a task or a data set forgets is named before a run depends on it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aiexp.checkpoint.digest import differing, digests
from aiexp.checkpoint.state import seed_everything
from aiexp.errors import ConfigError
from aiexp.experiment import Experiment
from aiexp.runs.rehearsal import Rehearsal, check_resuming
from aiexp.task.base import Update
from aiexp.task.contract import checked_evaluation
from aiexp.task.report import Evaluation, Table
from tests.toys import Adversaries, Classify, Points, Replay, make_hardware, make_trainer


def lines(make: Callable[[], Any], make_data: Callable[[], Any] = Points) -> list[str]:
    """What is said of a task and a data set that are built twice."""

    def build() -> Experiment:
        seed_everything(0)
        return Experiment(
            hardware=make_hardware(), trainer=make_trainer(accumulate=2), dataset=make_data(), task=make()
        )

    going = Rehearsal(build())
    going.advance(3)
    return [error.line() for error in check_resuming(going, build)]


@pytest.mark.parametrize("make", [Classify, Adversaries, Replay])
def test_what_resumes_exactly_passes(make: Any) -> None:
    assert lines(make) == []


def test_a_counter_that_is_not_saved() -> None:
    class Counts(Classify):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def train_step(self, batch: Any) -> Iterator[Update]:
            self.count += 1
            [update] = super().train_step(batch)
            yield Update(loss=update.loss * self.count)

    [weights, *_] = [line for line in lines(Counts) if "train_step comes to other weights" in line]
    assert "Counts.train_step" in weights
    assert "not restored: task.count" in weights
    assert "test_rehearsal.py:" in weights


def test_a_generator_that_is_not_saved() -> None:
    class Draws(Classify):
        def extra_state(self) -> dict[str, Any]:
            return {"pool": list(self.pool)}

        def load_extra_state(self, state: dict[str, Any]) -> None:
            self.pool.extend(state["pool"])

    assert any("not restored: task.pool_random" in line for line in lines(Draws))


def test_state_that_is_saved_and_not_loaded() -> None:
    class Forgets(Classify):
        def load_extra_state(self, state: dict[str, Any]) -> None:
            self.pool_random.bit_generator.state = state["pool_random"]

    [line] = lines(Forgets)
    assert "Forgets.load_extra_state does not bring back right after loading: pool" in line


def test_data_that_depend_on_more_than_the_number_of_a_batch() -> None:
    class Draws(Points):
        def __init__(self) -> None:
            super().__init__()
            self.random = np.random.default_rng(0)

        def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
            for batch in super().train_batches(start):
                noise = torch.from_numpy(self.random.normal(size=batch["x"].shape)).float()
                yield batch | {"x": batch["x"] + noise}

    [line] = lines(Classify, Draws)
    assert "Draws.train_batches gives other batches after resuming, first batch 6/0/x" in line
    assert "not restored: dataset.random" in line


def test_a_position_that_is_saved_is_given_back() -> None:
    class Counts(Points):
        """Gives other batches after resuming unless it is told how many it has given."""

        def __init__(self) -> None:
            super().__init__()
            self._given = 0

        def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
            for batch in super().train_batches(start):
                self._given += 1
                yield batch | {"x": batch["x"] + self._given}

        def state(self, start: int) -> dict[str, Any]:
            return {"given": self._given}

        def load_state(self, state: dict[str, Any] | None) -> None:
            self._given = (state or {"given": 0})["given"]

    assert lines(Classify, Counts) == []


def test_a_fingerprint_that_is_drawn() -> None:
    class Drawn(Points):
        def __init__(self) -> None:
            super().__init__()
            self._name = object()

        def fingerprint(self) -> str:
            return str(id(self._name))

    [line] = lines(Classify, Drawn)
    assert "Drawn.fingerprint is another one when the data set is built again" in line


def test_a_parameter_in_two_optimizers() -> None:
    class Shares(Adversaries):
        def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
            both = torch.optim.SGD(self.parameters(), lr=0.1)
            return super().make_optimizers() | {"both": both}

    with pytest.raises(ConfigError, match=r"gives discriminator\.0\.bias to 'discriminator' and to 'both'"):
        lines(Shares)


class SpoilsWeights(Classify):
    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        next(self.parameters()).mul_(0.9)
        return super().evaluate(dataset, split, report=report)


class SpoilsNorms(Classify):
    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        self.train()
        return super().evaluate(dataset, split, report=report)


class SpoilsRandom(Classify):
    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        self.pool_random.random()
        return super().evaluate(dataset, split, report=report)


@pytest.mark.parametrize("make", [SpoilsWeights, SpoilsNorms, SpoilsRandom])
def test_an_evaluation_that_changes_training(make: Any) -> None:
    [line] = lines(make)
    assert f"{make.__name__}.evaluate changes the steps that come after it" in line
    assert "test_rehearsal.py:" in line


def test_an_evaluation_that_is_only_counted() -> None:
    class Counts(Classify):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
            self.count += 1
            return super().evaluate(dataset, split, report=report)

        def extra_state(self) -> dict[str, Any]:
            return super().extra_state() | {"count": self.count}

        def load_extra_state(self, state: dict[str, Any]) -> None:
            super().load_extra_state(state)
            self.count = state["count"]

    assert lines(Counts) == []


@pytest.mark.parametrize("rows", [[["a"], ["b", 1]], [["a", 1], "bc"], [[]]])
def test_a_table_of_unequal_rows(rows: Any) -> None:
    table = Table(columns=["name", "count"], rows=rows)
    with pytest.raises(ConfigError, match=r"Classify.evaluate has .* of table 'wrong': columns are"):
        checked_evaluation(Classify(), Evaluation(metrics={}, tables={"wrong": table}))


@pytest.mark.parametrize("count", [2.5, np.int64(3), "3", None])
def test_batches_of_an_epoch_that_are_no_int(count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Points, "batches_per_epoch", lambda _: count)
    with pytest.raises(ConfigError, match=r"Points\.batches_per_epoch returned"):
        lines(Replay)


def test_digests_see_every_bit() -> None:
    value = {"a": [torch.zeros(2), np.zeros(2)], "b": (1, {2.0}), "c": np.random.default_rng(0), "d": None}
    assert digests(value) == digests(value)
    for path, other in {
        "a/0": {**value, "a": [torch.tensor([0.0, -0.0]), np.zeros(2)]},
        "b/1": {**value, "b": (1, {3.0})},
        "c": {**value, "c": np.random.default_rng(1)},
        "d": {**value, "d": 0},
        "a": {**value, "a": []},
    }.items():
        assert path in differing(digests(value), digests(other))
