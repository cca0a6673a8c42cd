"""Runs that come, go on, end and go while they are watched."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from aiexp.board import watch as module
from aiexp.errors import ConfigError
from aiexp.rundir.notes import Notes, write_notes
from tests.board.made import Working, make_watch
from tests.compare.page_runs import make_records, write_run


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e6)


def by_name(content: dict[str, Any], key: str) -> dict[str, Any]:
    return dict(zip(content["runs"]["name"], content["runs"][key], strict=True))


def test_a_run_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    watch = make_watch(tmp_path)
    content = watch.content()
    assert content["runs"]["name"] == []
    assert "there are no runs" in content["sentences"][0]
    run = Working(tmp_path, "one")
    content = watch.content()
    assert by_name(content, "state") == {"one": "running"}
    assert content["groups"][0] | {"label": "all runs", "count": 0, "center": None} == content["groups"][0]
    before = content["live"]
    run.go_on(5)
    first = watch.changes(before["version"], {"train/loss": 0})
    assert first["structure"] > before["structure"]  # metrics that were not there
    (row,) = first["curves"]["metrics"]["train/loss"]
    assert first["curves"]["steps"][row[1]] == (1, 2, 3, 4, 5)
    run.go_on(3)
    then = watch.changes(first["version"], {"train/loss": first["version"]})
    assert then["structure"] == first["structure"]  # numbers alone
    ((number, progress, metrics),) = then["runs"]
    assert (number, progress["step"], progress["total"]) == (0, 8, 20)
    assert progress["left"] == pytest.approx(6.0)  # 12 steps of 0.5 s
    assert metrics["train/loss"] == 0.125
    assert then["curves"]["metrics"]["train/loss"][0][2][-1] == 0.125
    assert watch.changes(0, {"train/loss": 0}, {7})["curves"]["metrics"] == {}
    nothing = watch.changes(then["version"], {"train/loss": then["version"]})
    assert (nothing["runs"], nothing["curves"]["metrics"]) == ([], {})
    run.end(**{"test/accuracy": 0.75})
    content = watch.content()
    assert by_name(content, "state") == {"one": "finished"}
    assert content["metric"]["name"] == "test/accuracy"
    assert [group["center"] for group in content["groups"]] == [0.75]


def test_what_a_run_logs_before_it_ends_reaches_curves_that_are_shown(tmp_path: Path) -> None:
    run = Working(tmp_path, "one")
    watch = make_watch(tmp_path)
    run.go_on(4)
    first = watch.changes(0, {"train/loss": 0})
    run.go_on(6, **{"eval/accuracy": 0.25})
    run.end(**{"test/accuracy": 0.75, "eval/accuracy": 0.5})  # of its best step, not of the last one
    then = watch.changes(first["version"], {"train/loss": first["version"]})
    (row,) = then["curves"]["metrics"]["train/loss"]
    assert then["curves"]["steps"][row[1]] == tuple(range(1, 11))
    assert watch.content()["metrics"]["eval/accuracy"] == [0.5]
    nothing = watch.changes(then["version"], {"train/loss": then["version"]})
    assert nothing["curves"]["metrics"] == {}


def test_a_page_that_is_loaded_again_hears_what_its_content_does_not_say(tmp_path: Path) -> None:
    record = make_records(tmp_path)[0]
    watch = make_watch(tmp_path)
    write_notes(record.path, Notes(title="the first"))
    watch.changes(0, {})  # somebody else has heard of it
    content = watch.content()
    assert "the first" not in content["runs"]["title"]
    ((_, progress, _),) = watch.changes(content["live"]["version"], {})["runs"]
    assert progress["title"] == "the first"


def test_a_run_that_was_resumed_with_another_config_between_two_looks(tmp_path: Path) -> None:
    run = Working(tmp_path, "one", lr=0.1)
    watch = make_watch(tmp_path)
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.1", "lr: 0.25"))
    assert watch.content()["common"]["task.optimizer.lr"] == "0.25"


def test_curves_say_whether_points_were_left_out(tmp_path: Path) -> None:
    run = Working(tmp_path, "one")
    run.go_on(400)
    watch = make_watch(tmp_path)
    first = watch.changes(0, {"train/loss": 0})
    assert first["curves"]["isThinned"] is False
    run.go_on(200)  # the most are 500
    assert watch.changes(first["version"], {"train/loss": 0})["curves"]["isThinned"] is True
    assert make_watch(tmp_path).changes(0, {"train/loss": 0})["curves"]["isThinned"] is True


def test_a_running_run_stands_with_those_it_will_be_compared_with(tmp_path: Path) -> None:
    make_records(tmp_path)  # learning rates 0.001 and 0.01
    working = [Working(tmp_path, "known", lr=0.01, seed=7), Working(tmp_path, "other", lr=0.5, seed=0)]
    for run in working:
        run.go_on()
    content = make_watch(tmp_path).content()
    groups = by_name(content, "group")
    labels = [group["label"] for group in content["groups"]]
    assert labels[groups["known"]] == "lr=0.01"
    assert labels[groups["other"]] == "lr=0.5"
    assert content["groups"][groups["known"]]["count"] == 3  # it has no result yet


def test_a_run_without_a_process_has_died(tmp_path: Path) -> None:
    run = Working(tmp_path, "one")
    watch = make_watch(tmp_path)
    assert by_name(watch.content(), "state") == {"one": "running"}
    run.end(state="running")  # its lock is gone, its status says nothing
    assert by_name(watch.content(), "state") == {"one": "died"}


def test_runs_that_are_removed_while_they_are_watched(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    watch = make_watch(tmp_path)
    numbers = by_name(watch.content(), "number")
    gone = watch.run(numbers[records[0].name])
    shutil.rmtree(records[0].path)
    content = watch.content()
    assert records[0].name not in content["runs"]["name"]
    assert by_name(content, "number") == {k: v for k, v in numbers.items() if k != records[0].name}
    assert gone is not None
    assert watch.run(gone.number) is None
    again = write_run(tmp_path, records[0].name, lr=0.001, seed=0, score=0.99)
    assert by_name(watch.content(), "number")[again.name] == len(records)  # another run: another number


def test_a_resumed_run_runs_again(tmp_path: Path) -> None:
    record = write_run(tmp_path, "one", lr=0.1, seed=0, score=0.5, state="stopped")
    watch = make_watch(tmp_path)
    watch.changes(0, {"train/loss": 0})
    lines = (record.path / "metrics.jsonl").read_text().splitlines(keepends=True)[:10]
    (record.path / "metrics.jsonl").write_text(
        "".join(lines) + json.dumps({"step": 11, "train/loss": 9.0}) + "\n"
    )
    status = json.loads((record.path / "status.json").read_text())
    os.utime(record.path / "status.json", (1, 1))
    (record.path / "status.json").write_text(json.dumps(status | {"state": "running", "metrics": None}))
    found = watch.changes(1, {"train/loss": 1})
    (row,) = found["curves"]["metrics"]["train/loss"]
    assert (len(row[2]), row[2][-1]) == (11, 9.0)


def test_notes_are_news_and_no_reason_to_compare(tmp_path: Path) -> None:
    record = make_records(tmp_path)[0]
    watch = make_watch(tmp_path)
    before = watch.content()["live"]
    write_notes(record.path, Notes(title="the first", tags=("base",), hidden=True))
    found = watch.changes(before["version"], {})
    assert found["structure"] == before["structure"]
    ((_, progress, _),) = found["runs"]
    assert (progress["title"], progress["tags"], progress["hidden"]) == ("the first", ["base"], True)


def test_comparing_takes_a_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1e-6)  # once, and then not for hours
    make_records(tmp_path)
    watch = make_watch(tmp_path)
    before = watch.content()["live"]
    write_run(tmp_path, "late", lr=0.3, seed=0, score=0.1)
    assert watch.changes(before["version"], {})["structure"] == before["structure"]
    watch._free = time.monotonic()
    assert watch.changes(before["version"], {})["structure"] == before["structure"] + 1


def test_one_look_serves_all_who_ask_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    watch = make_watch(tmp_path)
    write_run(tmp_path, "late", lr=0.3, seed=0, score=0.1)
    assert watch.content()["runs"]["name"] == []


def test_what_is_asked_wrongly_is_refused_at_the_start(tmp_path: Path) -> None:
    make_records(tmp_path)
    with pytest.raises(ConfigError, match="no run has a metric 'test/acuracy'"):
        make_watch(tmp_path, metric="test/acuracy")
    with pytest.raises(ConfigError, match="no run has a key 'nothing'"):
        make_watch(tmp_path, by="nothing")
