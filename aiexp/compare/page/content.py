"""Everything the page shows, as plain JSON values, made small: a thousand runs take a few megabytes."""

import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.page.curves import make_curves
from aiexp.compare.page.detail import make_details
from aiexp.compare.page.pictures import make_pictures
from aiexp.compare.page.under_way import Places, places_of
from aiexp.compare.varying import MISSING, show_value, value_of
from aiexp.rundir.lock import actual_state
from aiexp.rundir.named import run_id
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import UNDER_WAY, State
from aiexp.runs.listing import started_at

MOST_PAIRS = 45
DIGITS = 6
PROGRESS = (
    "state", "step", "total", "left", "seconds", "memory", "problem", "title", "note", "tags", "hidden",
)  # fmt: skip


def make_content(comparison: Comparison, records: Sequence[RunRecord]) -> dict[str, Any]:
    """The content of a page that is one file.

    Args:
        comparison: Groups and findings.
        records: Every run; those of a group come first, the best group's before all.
    """
    states = {record.path: state_of(record) for record in records}
    places = places_of(comparison, records, states)
    runs = places.runs
    return {
        **make_summary(comparison, places, states),
        "curves": make_curves(runs, comparison.metric.name),
        "pictures": make_pictures(runs, places.groups),
        "details": make_details(runs, places.groups),
        "live": None,
    }


def make_summary(comparison: Comparison, places: Places, states: Mapping[Any, State]) -> dict[str, Any]:
    """What is known of runs and groups, without curves, pictures and details.

    Args:
        comparison: Groups and findings.
        places: Order and group of each run.
        states: The real state of each run, by its path.
    """
    runs = places.runs
    keys, common = _split_keys(runs)
    return {
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "metric": {
            "name": comparison.metric.name,
            "isHigherBetter": comparison.metric.is_higher_better,
            "statistic": comparison.statistic,
        },
        "unit": comparison.unit,
        "sentences": comparison.sentences,
        "notes": comparison.notes,
        "importances": [[key, compact(share, 4)] for key, share in comparison.importances.items()],
        "columns": [[key, comparison.names.get(key, key)] for key in comparison.columns],
        "groups": [
            *(_group(group, comparison.columns) for group in comparison.groups),
            *(_new_group(label, values, comparison.columns) for label, values in places.new_groups),
        ],
        "pairs": _pairs(comparison),
        "runs": _runs(places, states),
        "metrics": _metrics(runs, comparison.metric.name),
        "keys": keys,
        "common": common,
    }


def state_of(record: RunRecord) -> State:
    """The real state of a run; of W&B the one that W&B says."""
    return actual_state(record) if is_local(record) else record.state


def is_local(record: RunRecord) -> bool:
    """Whether a run lies in a folder, not in W&B."""
    return not str(record.path).startswith(("http:", "https:"))


def compact(value: float | None, digits: int = DIGITS) -> float | int | None:
    """A number in few digits; None for NaN and infinities, which JSON does not have."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def progress_of(record: RunRecord, state: State) -> dict[str, Any]:
    """What changes of a run while it works.

    Args:
        record: As it is now.
        state: Its real one.
    """
    is_working = state in UNDER_WAY
    seconds = max(time.time() - started_at(record), 0.0) if is_working else record.seconds
    return {
        "state": state,
        "step": record.step,
        "total": record.total_steps,
        "left": compact(record.seconds_left, 3) if is_working else None,
        "seconds": compact(seconds),
        "memory": record.peak_memory_bytes,
        "problem": record.problem,
        "title": record.notes.title,
        "note": record.notes.note,
        "tags": list(record.notes.tags),
        "hidden": record.notes.hidden,
    }


def _group(group: Group, columns: Sequence[str]) -> dict[str, Any]:
    interval = group.interval
    return {
        "label": group.label,
        "name": group.name,
        "values": [show_value(group.values.get(key)) for key in columns],
        "count": len(group.scores),
        "center": compact(group.center),
        "low": compact(interval.low) if interval else None,
        "high": compact(interval.high) if interval else None,
        "deviation": compact(group.deviation),
        "lost": group.num_lost,
        "seconds": compact(group.seconds),
        "memory": group.peak_memory_bytes,
        "cpuHours": compact(group.cpu_hours),
        "gpuHours": compact(group.gpu_hours),
    }


def _new_group(label: str, values: Sequence[Any], columns: Sequence[str]) -> dict[str, Any]:
    """A group of which no run has a result yet."""
    empty = dict.fromkeys(("center", "low", "high", "deviation", "seconds", "memory", "cpuHours", "gpuHours"))
    texts = [show_value(value) for value in values[: len(columns)]]
    return {"label": label, "name": label, "values": texts, "count": 0, "lost": 0, **empty}


def _pairs(comparison: Comparison) -> list[list[Any]]:
    """First, second, difference, its interval, corrected p, whether it is sure; the first pairs."""
    return [
        [
            pair.first, pair.second, compact(pair.value),
            compact(pair.interval.low) if pair.interval else None,
            compact(pair.interval.high) if pair.interval else None,
            compact(pair.adjusted_p, 3), pair.is_sure, pair.needed_runs,
        ]
        for pair in comparison.differences[:MOST_PAIRS]
    ]  # fmt: skip


def _runs(places: Places, states: Mapping[Any, State]) -> dict[str, list[Any]]:
    """The columns of the table of runs."""
    runs = places.runs
    local = [run.path for run in runs if is_local(run)]
    above = os.path.commonpath([path.parent for path in local]) if local else ""
    paths = [os.path.relpath(run.path, above) if is_local(run) else str(run.path) for run in runs]
    ids = [run_id(run.path) or run.name for run in runs]
    counts = Counter(ids)
    progress = [progress_of(run, states[run.path]) for run in runs]
    return {
        "name": [run.name for run in runs],
        "path": paths,
        "key": [path if counts[key] > 1 else key for key, path in zip(ids, paths, strict=True)],
        "number": list(range(len(runs))),
        "group": places.groups,
        "task": [run.task for run in runs],
        "seed": [run.seed for run in runs],
        "started": [run.started for run in runs],
        **{name: [values[name] for values in progress] for name in PROGRESS},
    }


def _metrics(runs: Sequence[RunRecord], first: str) -> dict[str, list[Any]]:
    """Each metric's final value in each run; the one compared by comes first."""
    names = dict.fromkeys([first, *(name for run in runs for name in run.metrics)])
    return {name: [compact(run.metrics.get(name)) for run in runs] for name in names}


def _split_keys(runs: Sequence[RunRecord]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The config: keys that differ, each with its values and which of them each run has; keys that do not.

    A run that cannot be read has no config and takes no part.
    """
    readable = [run for run in runs if run.config]
    keys = dict.fromkeys(
        [k for run in readable for k in run.choices] + [k for run in readable for k in run.config]
    )
    differing: list[dict[str, Any]] = []
    common: dict[str, str] = {}
    for key in keys:
        values = [value_of(run, key) if run.config else MISSING for run in runs]
        texts = ["" if value is MISSING else show_value(value) for value in values]
        known = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        if len({text for text, run in zip(texts, runs, strict=True) if run.config}) == 1:
            common[key] = next(text for text, run in zip(texts, runs, strict=True) if run.config)
            continue
        differing.append({"key": key, "values": list(known), "index": [known[text] for text in texts]})
    return differing, common
