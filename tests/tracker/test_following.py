"""Several trackers of one run: what one of them does is no matter for the others, nor for the run."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import ConfigError, HardwareError
from aiexp.tracker import guard
from aiexp.tracker.base import RunInfo
from aiexp.tracker.following import Following
from aiexp.tracker.several import SeveralTrackers
from tests.tracker.test_guard import TABLE, Recorder

MakeRun = Callable[..., RunInfo]
ALL = ["start", "log", "log_picture", "log_table", "log", "close"]


class Prepared(Recorder):
    """A tracker that prepares, in whatever thread."""

    def prepare(self, directory: Path) -> None:
        self.thread = threading.current_thread()
        self._call("prepare")


def use(following: Following, run: RunInfo) -> dict[str, Any]:
    following.prepare()
    try:
        record = following.start(run)
        following.log(1, {"train/loss": 1.0})
        following.log_picture(2, "p", Path("p.png"))
        following.log_table(3, "t", TABLE)
        following.log(4, {"train/loss": 2.0})
    finally:
        following.close(0)
    return record


def names(recorder: Recorder) -> list[str]:
    return [call[0] for call in recorder.calls]


@pytest.mark.parametrize("fault", ["start", "log", "log_picture", "close"])
def test_one_that_fails_disturbs_no_other(
    fault: str, make_run: MakeRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken, whole = Recorder(fault, OSError("broken")), Recorder()
    following = Following(SeveralTrackers(broken=broken, whole=whole), "[broken,whole]", tmp_path)
    record = use(following, make_run())
    assert names(whole) == ALL
    assert record["whole"] == {"id": "x", "upload": "wandb sync here"}
    assert (record["broken"] == {"failure": "start: OSError: broken"}) == (fault == "start")
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("aiexp: tracking by broken stopped, the run and its metrics.jsonl go on")


def test_one_that_hangs_disturbs_no_other(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.1)
    hanging, whole = Recorder("log"), Recorder()
    use(Following(SeveralTrackers(hanging=hanging, whole=whole), "", tmp_path), make_run())
    assert names(whole) == ALL
    assert "tracking by hanging stopped" in capfd.readouterr().err
    hanging.released.set()


def test_each_gets_back_what_it_had_recorded(make_run: MakeRun, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    class Noting(Recorder):
        def start(self, run: RunInfo) -> dict[str, Any]:
            seen[self.fault] = run.previous
            if self.fault == "c":
                raise OSError("away")
            return {"id": self.fault}

    known = {"a": {"id": "one"}, "c": {"id": "three", "url": "there"}, "gone": {"id": "four"}}
    several = SeveralTrackers(a=Noting("a"), b=Noting("b"), c=Noting("c"))
    following = Following(several, "", tmp_path)
    record = following.start(make_run(previous={"id": "run"}, environment={"tracker": known}))
    following.close(0)
    assert seen == {"a": {"id": "one"}, "b": {"id": "run"}, "c": known["c"]}
    assert (record["a"], record["b"], record["gone"]) == ({"id": "a"}, {"id": "b"}, known["gone"])
    assert record["c"] == {**known["c"], "failure": "start: OSError: away"}, "a failure forgets nothing"


@pytest.mark.parametrize(
    ("recorded", "name"), [({"mode": "online", "id": "x"}, "wandb"), ({"mode": "tensorboard"}, "tensorboard")]
)
def test_records_of_earlier_runs_are_read(
    recorded: dict[str, Any], name: str, make_run: MakeRun, tmp_path: Path
) -> None:
    seen: list[Any] = []

    class Noting(Recorder):
        def start(self, run: RunInfo) -> dict[str, Any]:
            seen.append(run.previous)
            return {}

    following = Following(Noting(), name, tmp_path)
    following.start(make_run(previous={"id": "run"}, environment={"tracker": recorded}))
    following.close(0)
    assert seen == [recorded]


def test_what_one_lacks_is_said_before_any_makes_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    lacking, other = Prepared("prepare", HardwareError("not installed")), Prepared()
    following = Following(SeveralTrackers(other=other, lacking=lacking), "", tmp_path)
    with pytest.raises(HardwareError, match="not installed"):
        use(following, make_run())
    assert names(other) == ["prepare", "close"], "what it has prepared is undone"
    assert names(lacking) == ["close"]
    assert other.thread is not threading.main_thread()


def test_one_that_has_not_begun_is_not_closed(tmp_path: Path) -> None:
    recorder = Recorder()
    Following(recorder, "mine", tmp_path).close(0)
    assert recorder.calls == []


def test_a_stop_request_in_the_end_of_one_ends_the_others_all_the_same(
    make_run: MakeRun, tmp_path: Path
) -> None:
    class Stopped(Recorder):
        def close(self, exit_code: int) -> None:
            raise KeyboardInterrupt

    others = [Recorder(), Recorder()]
    several = SeveralTrackers(a=others[0], stopped=Stopped(), b=others[1])
    with pytest.raises(KeyboardInterrupt):
        use(Following(several, "", tmp_path), make_run())
    assert [names(other) for other in others] == [ALL, ALL]


@pytest.mark.parametrize("trackers", [{}, {"a": Recorder(), "b": 3}])
def test_only_trackers_go_into_a_list(trackers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SeveralTrackers(**trackers)
