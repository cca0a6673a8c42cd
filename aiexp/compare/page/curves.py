"""Curves for the page: all points while they are few, every so many of them once they are many."""

import json
import math
import re
from collections.abc import Mapping, Sequence
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
POINTS_OF_MANY = 50  # of a curve, where the runs are so many that some metrics must be left out
MOST_METRICS = 60
LARGEST_FREEDOM = 100  # beyond it Student's quantile is the normal one, to a percent
PROBED_RUNS = 8
DIGITS = 5
EPOCH, STEP_SECONDS, EXAMPLES = "train/epoch", "time/step_seconds", "time/examples_per_second"
AXES = (EPOCH, STEP_SECONDS, EXAMPLES)  # what steps are turned into epochs, time and examples by

Points = tuple[list[int], list[float | None]]


def make_curves(runs: Sequence[RunRecord], first: str) -> dict[str, Any]:
    """The curves of all runs, each run by its place.

    Args:
        runs: In the page's order.
        first: The metric compared by; the same of the split it is watched on comes first.
    """
    names = choose_metrics(runs, first)
    read = list(dict.fromkeys([*names, *AXES]))
    most = most_points(len(runs) * len(read))
    found: dict[str, dict[int, Points]] = {name: {} for name in read}
    is_thinned = False
    for number, run in enumerate(runs):
        points, is_cut = points_in(metrics_bytes(run.path / METRICS), read, most)
        is_thinned = is_thinned or is_cut
        for name, held in points.items():
            if held[0]:
                found[name][number] = held
    names = [name for name in names if found[name]]
    return {"names": names, **pack(found), "isThinned": is_thinned, "student": student_quantiles()}


def pack(curves: Mapping[str, Mapping[int, Points]]) -> dict[str, Any]:
    """Curves as the page reads them: lists of steps, which runs share, and rows of run, list and values."""
    lists: dict[tuple[int, ...], int] = {}
    rows = {
        name: [
            [number, lists.setdefault(tuple(steps), len(lists)), values]
            for number, (steps, values) in of_runs.items()
        ]
        for name, of_runs in curves.items()
    }
    return {"steps": list(lists), "metrics": {name: found for name, found in rows.items() if found}}


def student_quantiles() -> list[float]:
    """Student's quantile of a 95 % interval, for 1, 2, ... degrees of freedom."""
    return [round(float(special.stdtrit(n, 0.975)), 4) for n in range(1, LARGEST_FREEDOM + 1)]


def most_points(num_curves: int) -> int:
    """Points that each of so many curves may have."""
    return min(max(MOST_NUMBERS // max(num_curves, 1), FEWEST_POINTS), MOST_POINTS)


def choose_metrics(runs: Sequence[RunRecord], first: str) -> list[str]:
    """The metrics worth a curve, the one compared by in front; fewer where the runs are many."""
    budget = max(MOST_NUMBERS // max(len(runs) * POINTS_OF_MANY, 1), 2)
    return known_metrics(runs, first)[: min(MOST_METRICS, budget)]


def known_metrics(runs: Sequence[RunRecord], first: str, more: Sequence[str] = ()) -> list[str]:
    """The metrics that runs have curves of, in the order in which they are worth one.

    Only some runs are asked for their metrics, spread over all of them.

    Args:
        runs: To be asked.
        first: The metric compared by.
        more: Metrics that are known to be there.
    """
    stride = max(len(runs) // PROBED_RUNS, 1)
    known = dict.fromkeys(
        name for run in runs[::stride] for name in last_metrics(run.path / METRICS) if name != "step"
    ) | dict.fromkeys(more)
    leaf = first.rpartition("/")[2]
    front = [n for n in (f"eval/{leaf}", first, f"train/{leaf}", "eval/loss", "train/loss") if n in known]
    rest = [n for n in known if n.startswith(("eval/", "env/", "train/"))] + [*known]
    # A final metric has one point a run: no curve.
    return [n for n in dict.fromkeys([*front, *rest]) if not n.startswith("test/") and n != EPOCH]


def points_in(content: bytes, names: Sequence[str], most: int) -> tuple[dict[str, Points], bool]:
    """Steps and values of each metric in a metrics file, and whether points were left out.

    NaN and infinities are None. Of a longer curve about `most` points are read, evenly spread, the last
    always. Not the extreme ones: the page averages over seeds, and extremes do not average to the truth. What
    is left out is not even parsed.
    """
    content = content[: content.rfind(b"\n") + 1]  # a last line without its end is torn
    found = {name: [m.start() for m in re.finditer(_mark(name), content)] for name in names}
    starts = {
        name: [content.rfind(b"\n", 0, position) + 1 for position in thin(positions, most)]
        for name, positions in found.items()
    }
    kept = sorted({start for of_name in starts.values() for start in of_name})
    rows = dict(zip(kept, parse_lines([content[i : content.index(b"\n", i)] for i in kept]), strict=True))
    points: dict[str, Points] = {}
    for name in names:
        held = [row for start in starts[name] if is_point(row := rows[start], name)]
        points[name] = [row["step"] for row in held], [rounded(row[name]) for row in held]
    return points, any(len(starts[name]) < len(found[name]) for name in names)


def read_points(path: Path, names: Sequence[str], most: int) -> tuple[dict[str, Points], bool]:
    """The same of a file, which may be missing."""
    return points_in(metrics_bytes(path), names, most)


def thin(held: list[int], most: int) -> list[int]:
    """About `most` of some places, evenly spread, the last one always."""
    if len(held) <= most:
        return held
    return [held[round(i * (len(held) - 1) / (most - 1))] for i in range(most)]


def _mark(name: str) -> bytes:
    """A metric's key as it stands in a line."""
    return re.escape(json.dumps(name).encode() + b":")


def is_point(row: Any, name: str) -> bool:
    """Whether a line is what a run writes: a step and a number."""
    return isinstance(row, dict) and isinstance(row.get("step"), int) and is_number(row.get(name))


def rounded(value: float) -> float | None:
    """A value in few digits; None for NaN and infinities."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
