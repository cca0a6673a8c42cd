"""Everything the page shows, as plain JSON values, made small: a thousand runs take a few megabytes."""

import math
import os
import time
from collections.abc import Sequence
from typing import Any

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.page.curves import make_curves
from aiexp.compare.page.pictures import make_pictures
from aiexp.compare.varying import MISSING, show_value, value_of
from aiexp.rundir.record import RunRecord

MOST_PAIRS = 45
DIGITS = 6


def make_content(comparison: Comparison, records: Sequence[RunRecord]) -> dict[str, Any]:
    """The content of the page.

    Args:
        comparison: Groups and findings.
        records: Every run; those of a group come first, the best group's before all.
    """
    group_of = {record.path: i for i, group in enumerate(comparison.groups) for record in group.records}
    runs = sorted(
        records, key=lambda record: (group_of.get(record.path, len(comparison.groups)), record.name)
    )
    keys, common = _split_keys(runs)
    pictures = make_pictures(runs, [group_of.get(run.path) for run in runs])
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
        "groups": [_group(group, comparison.columns) for group in comparison.groups],
        "pairs": _pairs(comparison),
        "runs": _runs(runs, group_of),
        "metrics": _metrics(runs, comparison.metric.name),
        "keys": keys,
        "common": common,
        "curves": make_curves(runs, comparison.metric.name),
        "pictures": pictures,
    }


def compact(value: float | None, digits: int = DIGITS) -> float | int | None:
    """A number in few digits; None for NaN and infinities, which JSON does not have."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


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


def _runs(runs: Sequence[RunRecord], group_of: dict[Any, int]) -> dict[str, list[Any]]:
    """The columns of the table of runs."""
    local = [run.path for run in runs if not str(run.path).startswith(("http:", "https:"))]
    above = os.path.commonpath([path.parent for path in local]) if local else ""
    return {
        "name": [run.name for run in runs],
        "path": [os.path.relpath(run.path, above) if run.path in local else str(run.path) for run in runs],
        "group": [group_of.get(run.path) for run in runs],
        "state": [run.state for run in runs],
        "task": [run.task for run in runs],
        "seed": [run.seed for run in runs],
        "seconds": [compact(run.seconds) for run in runs],
        "memory": [run.peak_memory_bytes for run in runs],
        "started": [run.started for run in runs],
        "problem": [run.problem for run in runs],
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
