"""What a tracker is told of a run: names that tell, of a length that it takes."""

from pathlib import Path
from typing import Any

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.tracker.base import RunInfo, clipped
from aiexp.tracker.run_info import describe_run
from tests.tracker.conftest import make_tracker
from tests.tracker.wandb_file import read_wandb_file

TYPED = [
    "task=toy", "+trainer.clip=1.0", "tracker.mode=offline", "tracker=wandb", "outputs=o",
    "dataset.num_workers=2", "seed=1",
]  # fmt: skip


def described(folder: Path, **environment: Any) -> RunInfo:
    directory = RunDirectory(folder)
    directory.write_environment(**environment)
    directory.write_config({}, {"task": "toy"}, TYPED)
    return describe_run(directory, {}, {}, 0)


def test_names_leave_out_what_is_of_no_account(tmp_path: Path) -> None:
    alone = described(tmp_path)
    assert alone.name == "toy +trainer.clip=1.0 seed=1"
    assert alone.called("baseline") == "baseline"
    job = described(tmp_path, sweep="s_sweep_abc123", differs=["seed=1", "tracker.notes=a"])
    assert (job.name, job.called("baseline")) == ("toy seed=1", "baseline seed=1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("toy seed=1", "toy seed=1"), ("toy lr=0.1 seed=1", "toy lr=0.1 ..."), ("x" * 20, "x" * 11 + " ...")],
)
def test_long_names_are_cut_between_words(text: str, expected: str) -> None:
    assert clipped(text, 15) == expected


def test_wandb_gets_such_names(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    differs = [f"model.layer_{number}.width={number}" for number in range(9)]
    tracker = make_tracker(mode="offline", name="baseline", record=[])
    record = tracker.start(described(folder, sweep="s_sweep_abc123", differs=differs))
    tracker.close(0)
    name = read_wandb_file(folder / record["dir"] / f"run-{record['id']}.wandb").name
    assert name == f"baseline {' '.join(differs[:5])} ..."
    assert len(name) <= 128
