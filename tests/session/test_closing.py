"""The last lines of a run."""

from pathlib import Path
from typing import Any

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.session.closing import (
    brief,
    next_lines,
    places,
    prediction_example,
    result_table,
    sweep_look_lines,
)
from aiexp.task.base import Task


class Bare(Task):
    """A task of one's own."""

    def make_optimizers(self) -> Any: ...

    def train_step(self, batch: Any) -> Any: ...


def test_a_row_for_each_metric_and_a_column_for_each_split() -> None:
    metrics = {
        "eval/loss": 0.5, "eval/accuracy": 0.957, "eval/accuracy_interval": 0.0123,
        "test/accuracy": 0.95712, "test/return": 500.0, "test/steps": 123456.0, "kept": 1.0,
    }  # fmt: skip
    assert result_table(metrics) == [
        "                      eval        test",
        "loss                0.5000",
        "accuracy   0.9570 +- 0.012      0.9571",
        "return                           500.0",
        "steps                        1.235e+05",
        "kept                 1.000",
    ]


def test_no_metrics_are_no_lines() -> None:
    assert result_table({}) == []
    assert brief({"eval/a": float("nan"), "b": 0.25}) == "eval/a nan  b 0.2500"


def test_it_says_where_things_lie_and_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("outputs/mine/2026-01-01_00-00-00_abc123")
    path.parent.mkdir(parents=True)
    directory = RunDirectory.at(path)
    assert places(directory, str(path)) == [f"run   {path}"]
    for step in (10, 20):
        (path / f"checkpoints/step-{step:08d}").mkdir(parents=True)
    (path / "figures").mkdir()
    assert places(directory, str(path))[1:] == [
        "in it figures",
        "      checkpoints/step-00000020 (the last weights)",
    ]
    directory.write_status(best_step=10)
    assert places(directory, str(path))[2] == "      checkpoints/step-00000010 (the best weights)"
    assert next_lines(directory, str(path), "--seed 0") == [
        "next  aiexp predict abc123 --seed 0",
        "      aiexp compare outputs/mine",
    ]
    assert next_lines(directory, str(path), None) == ["next  aiexp compare outputs/mine"]


def test_a_task_without_inputs_has_no_example() -> None:
    assert prediction_example(Bare()) is None


def test_a_sweep_has_one_line_for_all_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Path("outputs/mine/s_sweep_abc123")
    board: dict[str, Any] = {"mode": "tensorboard", "look": f"tensorboard --logdir {sweep}"}
    page: dict[str, Any] = {"mode": "online", "url": "https://w/1", "look": "https://w/1"}
    failed: dict[str, Any] = {"mode": "offline", "look": "nowhere", "failure": "start: OSError"}
    for number, wandb in enumerate((page, failed, page)):
        (sweep / str(number)).mkdir(parents=True)
        RunDirectory(sweep / str(number)).write_environment(tracker={"wandb": wandb, "tensorboard": board})
    assert sweep_look_lines(sweep) == [f"look  tensorboard --logdir {sweep}"]
    offline: dict[str, Any] = {"mode": "offline", "url": None, "look": f"wandb leet {sweep}/.wandb"}
    RunDirectory(sweep / "1").write_environment(tracker={"wandb": offline})
    assert sweep_look_lines(sweep) == [
        f"look  tensorboard --logdir {sweep}",
        f"      wandb leet {sweep}/.wandb",
        f"send  wandb sync {sweep}/*/wandb/offline-run-*",
    ]
    assert sweep_look_lines(tmp_path / "none") == []
