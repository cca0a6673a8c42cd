"""What a sweep says of itself, and what its processes import."""

import importlib.util
import io
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aiexp.sweep.ledger import Ledger
from aiexp.sweep.place.preload import LATE, modules_of
from aiexp.sweep.result import Result
from aiexp.sweep.table import Objective, Table
from aiexp.text.number import duration

ACCURACY = Objective(name="eval/accuracy", mode="max")


def result(index: int, value: float | None, exit_code: int = 0, seconds: float = 10.0) -> Result:
    return Result(
        index=index, exit_code=exit_code, overrides=[f"seed={index}"], seconds=seconds,
        state="failed" if exit_code else "finished",
        metrics={} if value is None else {"eval/accuracy": value}, error="boom" if exit_code else "",
    )  # fmt: skip


def test_the_best_job_is_no_failure_and_no_nan() -> None:
    results = [
        result(0, 0.5),
        result(1, float("nan")),
        result(2, 0.9, exit_code=1),
        result(3, 0.7),
        result(4, None),
    ]
    assert ACCURACY.best(results) == results[3]
    assert Objective(name="eval/accuracy", mode="min").best(results) == results[0]
    assert Objective(name=None, mode="max").best(results) is None
    assert ACCURACY.best([]) is None


def test_lines_elsewhere_than_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(tmp_path, num_jobs=6, num_slots=2, objective=ACCURACY)
    with table:
        for index in range(3):
            table.started(index, [f"seed={index}"], tmp_path / "logs" / f"{index:03d}.log")
        table.ended(result(0, 0.5))
        table.ended(result(1, None, exit_code=1))
        table.ended(result(5, 0.6))  # complete before the sweep was resumed: no line
        table.refresh()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "aiexp: job 0 finished in 10 s: seed=0  eval/accuracy 0.5  "
        "(1 of 6 done, best eval/accuracy 0.5 by job 0, about 25 s left)"
    )
    assert lines[1:] == [
        "aiexp: job 1 failed: seed=1",
        "aiexp:   boom",
        f"aiexp:   log: {tmp_path}/logs/001.log",
    ]
    assert "2 of 6 done, 1 failed, best eval/accuracy 0.6 by job 5" in table.summary()


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def test_a_live_table_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    ledger = Ledger(tmp_path)
    ledger.plan([(i, [f"seed={i}"], "hash") for i in range(40)])
    run = tmp_path / "run0"
    run.mkdir()
    ledger.start(0, "run0")
    (run / "status.json").write_text('{"state": "running", "total_steps": 50}')
    (run / "metrics.jsonl").write_text(
        '{"step": 9, "eval/accuracy": 0.25}\n{"step": 12, "train/loss": 1}\n{"st'
    )
    with Table(tmp_path, num_jobs=40, num_slots=30, objective=ACCURACY) as table:
        for index in range(30):
            table.started(index, [f"seed={index}", "[red]x=1[/red]"], tmp_path / "log")
        table.refresh()
        shown = terminal.getvalue()
        table.ended(result(1, None, exit_code=1))
        table.ended(result(2, 0.9))
    assert "12/50" in shown
    assert "0.25" in shown
    assert "and 10 more" in shown
    assert "0 of 40 done" in shown
    after = terminal.getvalue()[len(shown) :]
    assert "job 1 failed: seed=1" in after
    assert "job 2" not in after


def test_time_left_counts_what_runs_and_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    table = Table(tmp_path, num_jobs=5, num_slots=2, objective=ACCURACY)
    assert table.seconds_left() is None
    table.started(1, [], tmp_path)
    now[0] += 4
    table.started(2, [], tmp_path)
    table.ended(result(0, 0.1, seconds=10))
    assert table.seconds_left() == pytest.approx((6 + 10 + 2 * 10) / 2)
    assert [duration(s) for s in (4.4, 99, 600, 7200)] == ["4.4 s", "99 s", "10 min", "2.0 h"]


def test_what_is_imported_beforehand_exists_and_is_no_users() -> None:
    targets = ["my_lab.parts.Task", "aiexp.task.classification.text.TextClassification", "torch.optim.AdamW"]
    modules = modules_of(targets)
    assert "torch" in modules
    assert "aiexp.task.classification.text" in modules
    assert "sklearn.metrics" in modules
    assert not [m for m in modules if m.startswith("my_lab")]
    for module in {name for names in LATE.values() for name in names}:
        assert importlib.util.find_spec(module), module
    starts: Any = [start for start in LATE if start.startswith("aiexp.")]
    files = {p.with_suffix("").as_posix().replace("/", ".") for p in Path("aiexp").rglob("*.py")}
    assert all(any(f.startswith(start) for f in files) for start in starts)
