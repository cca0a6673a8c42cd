"""The table of runs as a terminal shows it: its width, what tells runs apart, how far they are."""

import time
from pathlib import Path
from typing import Any

import pytest

from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State
from aiexp.runs import listing
from aiexp.runs.listing import Row, as_table, result

NAME = "2026-01-01_00-00-00_lr-0.1_seed-3_abc123"


def row(state: State = State.FINISHED, metric: str = "", **more: Any) -> Row:
    record = RunRecord(path=Path("outputs/mine") / NAME, name=NAME, task="mine", state=state, **more)
    return Row(record=record, state=state, started=time.time() - 7200, metric=metric, size=2048)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, "abc123  finished  2.0 h  mine  test/accuracy 0.5"),
        (120, "abc123  finished  2.0 h  2.0 KiB  mine  test/accuracy 0.5  lr-0.1_seed-3"),
        (None, f"abc123  finished  2.0 h  2.0 KiB  test/accuracy 0.5  outputs/mine/{NAME}"),
    ],
)
def test_lines_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int | None, expected: str) -> None:
    monkeypatch.setattr(listing, "width", lambda: columns)
    metrics = {"test/accuracy": 0.5}
    long = row(State.FAILED, problem="aiexp: error[data]: " + "no such file " * 20)
    lines = [line for line, _ in as_table([row(metric="test/accuracy", metrics=metrics), long])]
    assert lines[1].split() == expected.split()
    assert ("no such file " * 20).strip() in lines[2] or columns is not None, "nothing is cut in a pipe"
    assert all(len(line) <= (columns or 1000) for line in lines)


def test_states_have_their_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "width", lambda: 100)
    states = (State.RUNNING, State.STOPPED, State.FAILED, State.DIED, State.FINISHED)
    styles = [style for _, style in as_table([row(state) for state in states])]
    assert styles == ["bold", "green", "yellow", "red", "red", "", "dim"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"state": State.RUNNING, "step": 20, "total_steps": 50, "metrics": {"time/step_seconds": 2.0}},
         "step 20/50, 60 s left"),
        ({"state": State.RUNNING, "step": 20, "total_steps": 50}, "step 20/50"),
        ({"state": State.STOPPED, "step": 20, "total_steps": 50, "problem": "stopped, step 20 is saved"},
         "step 20/50"),
        ({"state": State.FAILED, "problem": "aiexp: error[data]: no such file | x.csv"},
         "no such file | x.csv"),
        ({"state": State.FAILED, "problem": "error[diverged]: loss is nan"}, "loss is nan"),
        ({"metric": "test/accuracy", "metrics": {"test/accuracy": 0.25}}, "test/accuracy 0.25"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_came_of_it(more: dict[str, Any], expected: str) -> None:
    assert result(row(**more)) == expected
