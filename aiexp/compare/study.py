"""From records to a comparison, top to bottom."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.difference import compare_pairs
from aiexp.compare.grouping import Bundle, Grouped, finished, group_runs, listed
from aiexp.compare.interval import center_of
from aiexp.compare.metric import Metric, choose_metric
from aiexp.compare.record import RunRecord
from aiexp.compare.varying import value_of

MOST_PAIRS = 45  # of 10 groups; of more, only the pairs with the best are kept


def compare(
    records: Sequence[RunRecord],
    *,
    by: str | None = None,
    metric: str | None = None,
    direction: Literal["max", "min"] | None = None,
) -> Comparison:
    """Compares runs.

    Args:
        records: Of any state and task.
        by: A config key or group to sort them by; None: by everything that differs but the seed.
        metric: Its name; None: the one the tasks are judged by.
        direction: Whether more of it is better; None: known from config or name.

    Raises:
        ConfigError: No such key or metric.
        DataError: Nothing is finished, or nothing has a usable score.
    """
    chosen = choose_metric(finished(records), metric, direction)
    grouped = group_runs(records, chosen, by)
    statistic = "interquartile mean" if chosen.is_return else "mean"
    pairs = [(bundle, _group(bundle, grouped, chosen)) for bundle in grouped.bundles]
    pairs.sort(key=lambda pair: -chosen.sign * pair[1].center)
    groups = [group for _, group in pairs]
    scores = [{key: run.metrics[chosen.name] for key, run in bundle.runs.items()} for bundle, _ in pairs]
    differences = compare_pairs(scores, chosen.sign, is_trimmed=chosen.is_return)
    if len(differences) > MOST_PAIRS:
        differences = [d for d in differences if 0 in (d.first, d.second)]
    used = {id(record) for group in groups for record in group.records}
    return Comparison(
        metric=chosen,
        statistic=statistic,
        columns=grouped.columns,
        names=grouped.names,
        differing=grouped.differing,
        groups=groups,
        differences=differences,
        notes=[*_notes(records, groups, chosen), *grouped.notes],
        left_out=[record for record in records if id(record) not in used],
    )


def _group(bundle: Bundle, grouped: Grouped, metric: Metric) -> Group:
    """A bundle with its statistics."""
    records = sorted(bundle.runs.values(), key=lambda r: (r.seed is None, r.seed or 0, r.name))
    scores = [record.metrics[metric.name] for record in records]
    center = center_of(np.array(scores), is_trimmed=metric.is_return)
    times = [record.seconds for record in records if record.seconds is not None]
    return Group(
        label=bundle.label,
        values={key: value_of(records[0], key) for key in grouped.columns},
        records=records,
        scores=scores,
        center=center.value,
        interval=center.interval,
        deviation=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        num_lost=len(bundle.lost),
        seconds=sum(times) / len(times) if times else None,
        peak_memory_bytes=max((r.peak_memory_bytes for r in records if r.peak_memory_bytes), default=None),
        cpu_hours=_hours(records, lambda run: run.hardware.get("threads")),
        gpu_hours=_hours(records, lambda run: int(run.hardware.get("device") == "cuda")) or None,
    )


def _hours(records: list[RunRecord], units: Callable[[RunRecord], int | None]) -> float | None:
    """Time by units, of the runs where both are known; None where none is."""
    known = [
        run.seconds * n / 3600 for run in records if run.seconds is not None and (n := units(run)) is not None
    ]
    return sum(known) if known else None


def _notes(records: Sequence[RunRecord], groups: list[Group], metric: Metric) -> list[str]:
    """What the reader must know of the runs and the metric."""
    notes: list[str] = []
    tasks = sorted({record.task for group in groups for record in group.records})
    if len(tasks) > 1:
        notes.append(f"runs of different tasks ({listed(tasks)}) are compared by {metric.name}")
    if not metric.is_direction_known:
        notes.append(f"taken for granted that more {metric.name} is better; --lower says otherwise")
    if damaged := [record for record in records if record.state == "damaged" or not record.config]:
        reasons = listed([f"{record.name} ({record.problem})" for record in damaged])
        notes.append(f"{len(damaged)} left out, cannot be read: {reasons}")
    if all(len(group.scores) == 1 for group in groups):
        notes.append("one seed only: no interval, and nothing to tell luck from merit by; -m seed=0,1,2,3,4")
    return notes
