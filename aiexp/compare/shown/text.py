"""A comparison as Markdown, CSV and JSON.

The keys of CSV and JSON are stable: they are the names in aiexp/compare/comparison.py.
"""

import json
from dataclasses import asdict
from typing import Any

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.shown import rows
from aiexp.compare.varying import MISSING, show_value
from aiexp.text.csv import csv_text
from aiexp.text.terminal import visible

FORMAT = 1  # raised when a key changes its meaning or goes


def as_markdown(comparison: Comparison, most: int = 0) -> str:
    """A table, the sentences and the notes."""
    header, cells = rows.header(comparison), rows.best(comparison, most)
    lines = ["| " + " | ".join(map(_escaped, line)) + " |" for line in (header, *cells)]
    lines.insert(1, "|" + "---|" * len(header))
    if len(cells) < len(comparison.groups):
        lines += ["", f"And {len(comparison.groups) - len(cells)} more."]
    for part in (comparison.sentences, rows.remarks(comparison), comparison.notes):
        if part:
            lines += ["", *(f"- {visible(line)}" for line in part)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return visible(text).replace("|", "\\|") or " "


def as_csv(comparison: Comparison) -> str:
    """One line a group, numbers in full."""
    found = [_numbers(group) for group in comparison.groups]
    lines: list[list[Any]] = [[*comparison.columns, "metric", *found[0]]]
    for group, numbers in zip(comparison.groups, found, strict=True):
        values = [group.values.get(key, MISSING) for key in comparison.columns]
        shown = ["" if value is MISSING else show_value(value) for value in values]
        lines.append([*shown, comparison.metric.name, *numbers.values()])
    return csv_text(lines)


def as_json(comparison: Comparison) -> str:
    """Everything, each run with its path, seed and score."""
    groups = comparison.groups
    content = {
        "format": FORMAT,
        "metric": asdict(comparison.metric),
        "statistic": comparison.statistic,
        "columns": comparison.columns,
        "differing": comparison.differing,
        "groups": [_group(group) for group in groups],
        "differences": [
            {
                **asdict(difference),
                "first": groups[difference.first].label,
                "second": groups[difference.second].label,
                "is_sure": difference.is_sure,
            }
            for difference in comparison.differences
        ],
        "importances": comparison.importances,
        "sentences": comparison.sentences,
        "notes": comparison.notes,
        "left_out": [
            {"path": str(r.path), "state": r.state, "problem": r.problem} for r in comparison.left_out
        ],
    }
    return json.dumps(content, indent=2, default=str) + "\n"


def _group(group: Group) -> dict[str, Any]:
    runs = [
        {"path": str(record.path), "name": record.name, "seed": record.seed, "score": score}
        for record, score in zip(group.records, group.scores, strict=True)
    ]
    values = {key: value for key, value in group.values.items() if value is not MISSING}
    return {"label": group.label, "values": values, **_numbers(group), "runs": runs}


def _numbers(group: Group) -> dict[str, float | int | None]:
    """A group's numbers by their stable names."""
    interval = group.interval
    return {
        "center": group.center,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "deviation": group.deviation,
        "num_runs": len(group.scores),
        "num_lost": group.num_lost,
        "seconds": group.seconds,
        "peak_memory_bytes": group.peak_memory_bytes,
        "cpu_hours": group.cpu_hours,
        "gpu_hours": group.gpu_hours,
    }
