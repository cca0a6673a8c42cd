"""Curves for the page: all points while they are few, every so many of them once they are many."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy import special

from aiexp.rundir.file import METRICS, metrics_bytes
from aiexp.rundir.metrics import last_metrics, parse_lines
from aiexp.rundir.record import RunRecord
from aiexp.storage.shape import is_number

MOST_NUMBERS = 300_000  # in all curves of a page: about 2 MB
MOST_POINTS = 500  # of one curve
FEWEST_POINTS = 30
MOST_METRICS = 12
LARGEST_FREEDOM = 100  # beyond it Student's quantile is the normal one, to a percent
PROBED_RUNS = 8
DIGITS = 5


def make_curves(runs: Sequence[RunRecord], first: str) -> dict[str, Any]:
    """The curves of all runs: step lists shared by runs, and for each metric and run its list and values.

    Args:
        runs: In the page's order.
        first: The metric compared by; the same of the split it is watched on comes first.
    """
    names = choose_metrics(runs, first)
    most = MOST_NUMBERS // max(len(runs) * len(names), 1)
    most = min(max(most, FEWEST_POINTS), MOST_POINTS)
    lists: dict[tuple[int, ...], int] = {}
    found: dict[str, list[list[Any] | None]] = {name: [] for name in names}
    is_thinned = False
    for run in runs:
        points, is_cut = read_points(run.path / METRICS, names, most)
        is_thinned = is_thinned or is_cut
        for name in names:
            steps, values = points[name]
            index = lists.setdefault(tuple(steps), len(lists)) if steps else 0
            found[name].append([index, values] if steps else None)
    return {
        "steps": list(lists),
        "metrics": {name: rows for name, rows in found.items() if any(rows)},
        "isThinned": is_thinned,
        "student": [round(float(special.stdtrit(n, 0.975)), 4) for n in range(1, LARGEST_FREEDOM + 1)],
    }


def choose_metrics(runs: Sequence[RunRecord], first: str) -> list[str]:
    """The metrics worth a curve, the one compared by in front; fewer where the runs are many.

    Only some runs are asked for their metrics, spread over all of them.
    """
    stride = max(len(runs) // PROBED_RUNS, 1)
    known = dict.fromkeys(
        name for run in runs[::stride] for name in last_metrics(run.path / METRICS) if name != "step"
    )
    leaf = first.rpartition("/")[2]
    front = [n for n in (f"eval/{leaf}", first, f"train/{leaf}", "eval/loss", "train/loss") if n in known]
    rest = [n for n in known if n.startswith(("eval/", "env/", "train/"))] + [*known]
    # A final metric has one point a run: no curve.
    names = [n for n in dict.fromkeys([*front, *rest]) if not n.startswith("test/") and n != "train/epoch"]
    return names[: min(MOST_METRICS, max(MOST_NUMBERS // max(len(runs) * 100, 1), 2))]


def read_points(
    path: Path, names: Sequence[str], most: int
) -> tuple[dict[str, tuple[list[int], list[float | None]]], bool]:
    """Steps and values of each metric, and whether points were left out; NaN and infinities are None.

    Of a longer curve about `most` points are read, evenly spread, the last always. Not the extreme ones: the
    page averages over seeds, and extremes do not average to the truth. What is left out is not even parsed.
    """
    content = metrics_bytes(path)
    content = content[: content.rfind(b"\n") + 1]  # a last line without its end is torn
    found = {name: [m.start() for m in re.finditer(_mark(name), content)] for name in names}
    starts = {
        name: [content.rfind(b"\n", 0, position) + 1 for position in thin(positions, most)]
        for name, positions in found.items()
    }
    kept = sorted({start for of_name in starts.values() for start in of_name})
    rows = dict(zip(kept, parse_lines([content[i : content.index(b"\n", i)] for i in kept]), strict=True))
    points: dict[str, tuple[list[int], list[float | None]]] = {}
    for name in names:
        held = [row for start in starts[name] if _is_point(row := rows[start], name)]
        points[name] = [row["step"] for row in held], [_round(row[name]) for row in held]
    return points, any(len(starts[name]) < len(found[name]) for name in names)


def thin(held: list[int], most: int) -> list[int]:
    """About `most` of some places, evenly spread, the last one always."""
    if len(held) <= most:
        return held
    return [held[round(i * (len(held) - 1) / (most - 1))] for i in range(most)]


def _mark(name: str) -> bytes:
    """A metric's key as it stands in a line."""
    return re.escape(json.dumps(name).encode() + b":")


def _is_point(row: Any, name: str) -> bool:
    """Whether a line is what a run writes: a step and a number."""
    return isinstance(row, dict) and isinstance(row.get("step"), int) and is_number(row.get(name))


def _round(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
