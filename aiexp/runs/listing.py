"""The table of runs: newest first, as text, JSON or CSV."""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiexp.config.folders import shown
from aiexp.rundir import judged_by
from aiexp.rundir.lock import actual_state
from aiexp.rundir.named import run_id
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State
from aiexp.runs.disk import disk_bytes
from aiexp.text.csv import csv_text
from aiexp.text.number import duration, file_size
from aiexp.text.terminal import cut, visible, width

OWN_PARTS = re.compile(r"^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_?|_?[0-9a-f]{6}$")  # time and id of a folder's name
NARROW, WIDEST = 100, 40  # columns
PREFIX = re.compile(r"^(aiexp: )?error\[\w+\]: ")
STATE_STYLES = {
    State.RUNNING: "green",
    State.STOPPED: "yellow",
    State.FAILED: "red",
    State.DIED: "red",
    State.DAMAGED: "red",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A run in the list.

    Args:
        record: What is known of it.
        state: Its real state.
        started: Seconds since the epoch.
        metric: Name of the metric that stands for it, or "".
        size: Bytes on the disk.
    """

    record: RunRecord
    state: State
    started: float
    metric: str
    size: int


def make_rows(records: Sequence[RunRecord], metric: str | None) -> list[Row]:
    """The rows, newest first.

    Args:
        records: Of the runs.
        metric: The metric to show, or None for the one that stands for each run.
    """
    rows = [
        Row(
            record=record,
            state=actual_state(record),
            started=started_at(record),
            metric=headline(record) if metric is None else metric if metric in record.metrics else "",
            size=disk_bytes([record.path]),
        )
        for record in records
    ]
    return sorted(rows, key=lambda row: (-row.started, row.record.name))


def headline(record: RunRecord) -> str:
    """The metric that stands for a run: what it is judged by, unless it has only logged its training."""
    names = judged_by.candidates(record.metrics, record.config.get, record.better)
    return names[0] if names and names[0].startswith(("test/", "eval/")) else ""


def started_at(record: RunRecord) -> float:
    """When a run began to work, else when its directory was made: seconds since the epoch."""
    for text, form in (
        (record.started or "", "%Y-%m-%dT%H:%M:%S%z"),
        (record.name[:19], "%Y-%m-%d_%H-%M-%S"),
    ):
        try:
            return datetime.strptime(text, form).timestamp()
        except ValueError:
            continue
    try:
        return record.path.stat().st_mtime
    except OSError:
        return 0.0


def as_table(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """A line a run with its style, and one with the totals.

    A terminal has lines of its width, with what tells runs apart; elsewhere the whole path stands last.
    """
    now, columns = time.time(), width()
    is_narrow = columns is not None and columns < NARROW
    cells = [
        [
            run_id(row.record.path),
            visible(row.state),
            duration(now - row.started),
            "" if (worked := seconds_of(row, now)) is None else duration(worked),
            *([] if is_narrow else [file_size(row.size)]),
            *([] if columns is None else [visible(row.record.task)]),
            visible(result(row)),
            *(
                []
                if is_narrow
                else [visible(shown(row.record.path) if columns is None else changed(row.record))]
            ),
        ]
        for row in rows
    ]
    head = ["id", "state", "age", "time", *([] if is_narrow else ["size"])]
    right = range(2, len(head))  # columns of numbers
    head += ["result", "run"] if columns is None else ["task", "result", *([] if is_narrow else ["changed"])]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head) - 1)] + [0]
    if columns is not None:
        widths = [min(width, WIDEST) for width in widths]
    text = [
        "  ".join(
            cut(cell, width).rjust(width) if i in right else cut(cell, width or None).ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [head, *cells]
    ]
    styles = ["bold", *(STATE_STYLES.get(row.state, "") for row in rows), "dim"]
    return [(cut(line, columns), style) for line, style in zip([*text, totals(rows)], styles, strict=True)]


def changed(record: RunRecord) -> str:
    """What was typed, as it stands in the name of the run's folder."""
    return OWN_PARTS.sub("", record.name)


def result(row: Row) -> str:
    """A run's metric; how far it is, or was when it was stopped; why it has none."""
    record = row.record
    if row.state == State.RUNNING and record.total_steps:
        eta = f", {duration(left)} left" if (left := record.seconds_left) is not None else ""
        return f"step {record.step}/{record.total_steps}{eta}"
    if row.state == State.STOPPED and record.total_steps:
        return f"step {record.step}/{record.total_steps}"
    if row.metric:
        return f"{row.metric} {number(record.metrics[row.metric])}"
    return PREFIX.sub("", record.problem)


def totals(rows: Sequence[Row]) -> str:
    """`35 runs, 1.2 GB: 30 finished, 5 failed`."""
    states = ", ".join(
        f"{count} {state}" for state, count in Counter(row.state for row in rows).most_common()
    )
    size = file_size(disk_bytes([row.record.path for row in rows]))
    return f"{len(rows)} run{'s' * (len(rows) != 1)}, {size}: {states}"


def as_json(rows: Sequence[Row]) -> str:
    """A JSON list with every metric; NaN and infinities become null."""
    return json.dumps([_fields(row) | _details(row) for row in rows], indent=2)


def as_csv(rows: Sequence[Row]) -> str:
    """The table's columns in plain units, without the totals."""
    header = ("id", "run", "task", "state", "started", "seconds", "bytes", "metric", "value")
    return csv_text([header, *(list(_fields(row).values()) for row in rows)])


def _fields(row: Row) -> dict[str, Any]:
    record = row.record
    return {
        "id": run_id(record.path) or None,
        "run": shown(record.path),
        "task": record.task,
        "state": row.state,
        "started": record.started,
        "seconds": record.seconds,
        "bytes": row.size,
        "metric": row.metric or None,
        "value": _finite(record.metrics[row.metric]) if row.metric else None,
    }


def _details(row: Row) -> dict[str, Any]:
    record = row.record
    return {
        "metrics": {name: _finite(value) for name, value in record.metrics.items()},
        "overrides": record.overrides,
        "seed": record.seed,
        "peak_memory_bytes": record.peak_memory_bytes,
        "title": record.notes.title or None,
        "tags": list(record.notes.tags),
        "note": record.notes.note or None,
        "problem": record.problem or None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def seconds_of(row: Row, now: float) -> float | None:
    """How long a run has worked."""
    return now - row.started if row.state == State.RUNNING else row.record.seconds


def number(value: float) -> str:
    """A metric's value in four digits."""
    return (
        f"{value:.4g}" if abs(value) < 1e-3 or abs(value) >= 1e4 else f"{value:.4f}".rstrip("0").rstrip(".")
    )
