"""A data set whose end nobody knows: all is said in steps, and its position lies in the checkpoints."""

from pathlib import Path
from typing import Any

import pytest

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.errors import CheckpointError, ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.session.session import Session
from aiexp.task.contract import check_dataset
from tests.toys import Classify, Points, make_hardware, make_trainer, new_run

STEPS: dict[str, Any] = {
    "steps": 6,
    "evaluate_every": 3,
    "checkpoint": CheckpointPolicy(every=2, keep_last=9, asynchronous=False),
    "accumulate": 2,
}


class Endless(Points):
    """`Points` that do not say how many they are, and know where they were."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[Any] = []

    def num_examples(self, split: str) -> Any:
        return None if split == "train" else super().num_examples(split)

    def batches_per_epoch(self) -> Any:
        return None

    def train_batches(self, start: int) -> Any:
        return Points().train_batches(start)

    def state(self, start: int) -> dict[str, Any]:
        return {"start": start}

    def load_state(self, state: dict[str, Any] | None) -> None:
        self.loaded.append(state)
        if state is not None:
            state["start"]


def fit(directory: RunDirectory, dataset: Any, **changes: Any) -> Session:
    with Session(directory, directory.read_config()) as session:
        make_trainer(**(STEPS | changes)).fit(Classify(), dataset, make_hardware(), session)
    return session


def state_of(directory: RunDirectory, step: int) -> dict[str, Any]:
    session = Session(directory, directory.read_config())
    return session.checkpoints.load(step)[1]


def test_the_position_lies_in_each_checkpoint_and_comes_back(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    dataset = Endless()
    check_dataset(dataset)
    fit(directory, dataset)
    assert [state_of(directory, step)["dataset"] for step in (2, 4, 6)] == [
        {"start": 4},
        {"start": 8},
        {"start": 12},
    ]
    assert dataset.loaded == []
    again = Endless()
    fit(directory, again, steps=8)
    assert again.loaded == [{"start": 12}]
    lines = read_metrics(directory.path)
    assert not any("train/epoch" in line for line in lines)


def test_a_checkpoint_without_a_position_is_said_to_have_none(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    fit(directory, Points())
    assert "dataset" not in state_of(directory, 6)
    dataset = Endless()
    fit(directory, dataset, steps=8)
    assert dataset.loaded == [None]


def test_a_position_of_another_shape_is_a_checkpoint_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(tmp_path)
    monkeypatch.setattr(Endless, "state", lambda self, start: {"other": start})
    fit(directory, Endless())
    with pytest.raises(CheckpointError, match="does not fit"):
        fit(directory, Endless(), steps=8)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"steps": None, "epochs": 1.0}, "Trainer.epochs"),
        ({"evaluate_every": "epoch"}, "Trainer.evaluate_every"),
        (
            {"checkpoint": CheckpointPolicy(every="epoch", keep_last=1, asynchronous=False)},
            "Trainer.checkpoint.every",
        ),
    ],
)
def test_without_epochs_all_is_said_in_steps(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match="nobody knows how long an epoch") as caught:
        fit(new_run(tmp_path), Endless(), **changes)
    assert caught.value.where == key
    assert f"{key}=" in caught.value.fix
