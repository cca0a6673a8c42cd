"""Trackers that fail or hang: the caller sees nothing of it but one line."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import HardwareError
from aiexp.task.report import Table
from aiexp.tracker import guard
from aiexp.tracker.base import RunInfo
from aiexp.tracker.guard import GuardedTracker

TABLE = Table(columns=["a"], rows=[[1]])


class Recorder:
    """Records its calls; raises `error` or waits in the one named `fault`."""

    def __init__(self, fault: str = "", error: Exception | None = None) -> None:
        self.fault, self.error, self.calls = fault, error, []
        self.released = threading.Event()

    def _call(self, *call: Any) -> None:
        if call[0] == self.fault:
            if self.error is None:
                self.released.wait(10)
            else:
                raise self.error
        self.calls.append(call)

    def start(self, run: RunInfo) -> dict[str, Any]:
        self._call("start")
        return {"id": "x", "upload": "wandb sync here"}

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._call("log", step, metrics)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        self._call("log_picture", step, name, path)

    def log_table(self, step: int, name: str, table: Table) -> None:
        self._call("log_table", step, name, table)

    def close(self, exit_code: int) -> None:
        self._call("close", exit_code)


def use(tracker: GuardedTracker, run: RunInfo) -> dict[str, Any]:
    record = tracker.start(run)
    tracker.log(1, {"train/loss": 1.0})
    tracker.log_picture(2, "p", Path("p.png"))
    tracker.log_table(3, "t", TABLE)
    tracker.log(4, {"train/loss": 2.0})
    tracker.close(0)
    return record


def test_calls_arrive_in_order(make_run: Callable[..., RunInfo], capfd: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder()
    assert use(GuardedTracker(recorder), make_run()) == {"id": "x", "upload": "wandb sync here"}
    assert recorder.calls == [
        ("start",),
        ("log", 1, {"train/loss": 1.0}),
        ("log_picture", 2, "p", Path("p.png")),
        ("log_table", 3, "t", TABLE),
        ("log", 4, {"train/loss": 2.0}),
        ("close", 0),
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("fault", ["log", "log_picture", "log_table", "close"])
def test_failure_is_one_line_and_ends_tracking(
    fault: str, make_run: Callable[..., RunInfo], capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(fault, OSError("broken\npipe"))
    use(GuardedTracker(recorder), make_run())
    [line] = capfd.readouterr().err.splitlines()
    assert f"{fault}: OSError: broken pipe" in line
    assert line.endswith("upload later: wandb sync here")
    names = ["start", "log", "log_picture", "log_table", "log", "close"]
    before = names[: names.index(fault)]
    assert [call[0] for call in recorder.calls] == (before if fault == "close" else [*before, "close"])


def test_failing_start_switches_tracking_off(
    make_run: Callable[..., RunInfo], capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder("start", ValueError("no"))
    assert use(GuardedTracker(recorder), make_run()) == {"failure": "start: ValueError: no"}
    assert [call[0] for call in recorder.calls] == ["close"]
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_demand_of_the_config_is_an_error(make_run: Callable[..., RunInfo]) -> None:
    with pytest.raises(HardwareError):
        GuardedTracker(Recorder("start", HardwareError("required"))).start(make_run())


def test_hanging_tracker_delays_neither_log_nor_close(
    make_run: Callable[..., RunInfo], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.1)
    recorder = Recorder("log")
    tracker = GuardedTracker(recorder)
    begin = time.monotonic()
    use(tracker, make_run())
    assert time.monotonic() - begin < 5  # the tracker waits 10
    assert "TimeoutError" in capfd.readouterr().err
    recorder.released.set()
    tracker.thread.join(5)


def test_full_queue_switches_tracking_off(
    make_run: Callable[..., RunInfo], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_WAITING", 5)
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.1)
    recorder = Recorder("log")
    tracker = GuardedTracker(recorder)
    tracker.start(make_run())
    for step in range(20):
        tracker.log(step, {})
    tracker.close(0)
    assert len(capfd.readouterr().err.splitlines()) == 1
    recorder.released.set()
