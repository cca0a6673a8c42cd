"""What a run has reached, with the interval over the seeds that it is one of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiexp.compare.compare import compare
from aiexp.compare.statistics.interval import Interval, center_of, interval_of
from aiexp.errors import AiexpError
from aiexp.rundir.record import RunRecord, find_runs, read_record


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A metric.

    Args:
        name: With its split.
        value: Of this run.
        center: Mean over the runs that differ in the seed alone; None where it is the only one.
        interval: 95 %, of that mean.
    """

    name: str
    value: float
    center: float | None = None
    interval: Interval | None = None


def results_of(path: Path) -> tuple[list[Result], int]:
    """The metrics of a run on its test split (all, where it has none of that), and of how many runs they are.

    The others are those of its sweep, or of its task beside it, that are finished and equal but for the seed.
    """
    record = read_record(path)
    alike = _alike(record)
    names = [name for name in record.metrics if name.startswith("test/")] or list(record.metrics)
    made: list[Result] = []
    for name in names:
        scores = np.array([run.metrics[name] for run in alike if name in run.metrics])
        if len(scores) < 2 or not np.isfinite(scores).all():
            made.append(Result(name=name, value=record.metrics[name]))
            continue
        center, interval = center_of(scores, is_trimmed=False).value, interval_of(scores, is_trimmed=False)
        made.append(Result(name=name, value=record.metrics[name], center=center, interval=interval))
    return made, len(alike)


def _alike(record: RunRecord) -> list[RunRecord]:
    """The runs of the group that `aiexp compare` would put it into."""
    around = record.sweep or record.path.parent
    others = [run for run in find_runs([around], is_sealed=True) if run.task == record.task]
    try:
        groups = compare(others, importance=False).groups
    except AiexpError:
        return [record]
    mine = [group.records for group in groups if any(run.path == record.path for run in group.records)]
    return mine[0] if mine else [record]
