"""TensorBoard event files, read back."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import HardwareError
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.notice import short_path
from aiexp.tracker.tensorboard import TensorBoardTracker
from tests.tracker.pictures import PNG

MakeRun = Callable[..., RunInfo]


def read_events(directory: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(directory))
    events.Reload()
    return events


def test_metrics_pictures_and_tables(make_run: MakeRun) -> None:
    run, tracker = make_run(), TensorBoardTracker(flush_seconds=10)
    (run.directory / "p.png").write_bytes(PNG)
    record = tracker.start(run)
    assert (record["mode"], record["dir"]) == ("tensorboard", "tensorboard")
    assert record["look"] == f"tensorboard --logdir {short_path(run.directory.parent)}"
    for step in (1, 2):
        tracker.log(step, {"train/loss": 1 / step, "time/step_seconds": 0.5})
    tracker.log_picture(2, "test/confusion", run.directory / "p.png")
    tracker.log_table(2, "test/errors", Table(columns=["text"], rows=[["a|b\nc"]]))
    tracker.close(0)
    events = read_events(run.directory / "tensorboard")
    assert [(point.step, point.value) for point in events.Scalars("train/loss")] == [(1, 1.0), (2, 0.5)]
    [picture] = events.Images("test/confusion")
    assert (picture.step, picture.width, picture.height) == (2, 4, 3)
    [text] = events.Tensors("test/errors/text_summary")
    assert b"| a\\|b c |" in text.tensor_proto.string_val[0]


def test_resume_hides_the_lost_steps(make_run: MakeRun) -> None:
    first = TensorBoardTracker(flush_seconds=10)
    record = first.start(make_run())
    for step in (1, 2, 3):
        first.log(step, {"train/loss": 1.0})
    first.close(143)
    second = TensorBoardTracker(flush_seconds=10)
    second.start(make_run(previous=record))
    for step in (3, 4):
        second.log(step, {"train/loss": 2.0})
    second.close(0)
    events = read_events(make_run().directory / "tensorboard")
    points = [(point.step, point.value) for point in events.Scalars("train/loss")]
    assert points == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_missing_package(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(HardwareError, match=r"pip install 'aiexp\[tensorboard\]'"):
        TensorBoardTracker(flush_seconds=10).start(make_run())


def test_closing_an_unused_tracker_makes_nothing(make_run: MakeRun) -> None:
    tracker = TensorBoardTracker(flush_seconds=10)
    tracker.start(make_run())
    tracker.close(0)
    assert not (make_run().directory / "tensorboard").exists()
