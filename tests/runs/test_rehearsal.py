"""`aiexp check --resume`: what a task or a data set forgets is named before a run depends on it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aiexp.checkpoint.digest import differing, digests
from aiexp.checkpoint.state import seed_everything
from aiexp.experiment import Experiment
from aiexp.runs.rehearsal import Rehearsal, check_resuming
from aiexp.task.base import Update
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
