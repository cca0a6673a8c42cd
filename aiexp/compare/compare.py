"""From records to a comparison, top to bottom."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.grouping import Bundle, Grouped, finished, group_runs, listed
from aiexp.compare.metric import Metric, choose_metric
from aiexp.compare.shown.sentence import sentences_for
from aiexp.compare.statistics.difference import compare_pairs
from aiexp.compare.statistics.importance import FEWEST, MOST_UNASKED, find_importances
from aiexp.compare.statistics.interval import Interval, center_of, interval_of
from aiexp.compare.varying import value_of
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State

LONGEST_NAME = 28  # characters of a label that may stand in a sentence


def compare(
    records: Sequence[RunRecord],
    *,
    by: str | None = None,
    metric: str | None = None,
    direction: Literal["max", "min"] | None = None,
    importance: bool | None = None,
) -> Comparison:
    """Compares runs.

    Args:
        records: Of any state and task.
        by: A config key or group to sort them by; None: by everything that differs but the seed.
        metric: Its name; None: the one the tasks are judged by.
        direction: Whether more of it is better; None: known from config or name.
        importance: Whether to compute how much each key matters; None: if that is quick.

    Raises:
        ConfigError: no such key or metric.
        DataError: nothing is finished, or nothing has a usable score.
    """
    chosen = choose_metric(finished(records), metric, direction)
    return _compare_groups(records, group_runs(records, chosen, by), chosen, importance)


def _compare_groups(
    records: Sequence[RunRecord], grouped: Grouped, chosen: Metric, importance: bool | None
) -> Comparison:
    """The comparison of runs sorted into groups."""
    pairs = [(bundle, _group(bundle, grouped, chosen)) for bundle in grouped.bundles]
    pairs.sort(key=lambda pair: -chosen.sign * pair[1].center)
    groups = _named([group for _, group in pairs])
    scores = [{key: run.metrics[chosen.name] for key, run in bundle.runs.items()} for bundle, _ in pairs]
    differences = compare_pairs(scores, chosen.sign, is_trimmed=chosen.is_return)
    unit = "runs" if any(len({r.seed for r in g.records}) < len(g.records) for g in groups) else "seeds"
    importances, why = _importances(groups, grouped.columns, is_wanted=importance)
    used = {id(record) for group in groups for record in group.records}
    return Comparison(
        metric=chosen,
        statistic="interquartile mean" if chosen.is_return else "mean",
        columns=grouped.columns,
        names=grouped.names,
        differing=grouped.differing,
        groups=groups,
        differences=differences,
        unit=unit,
        sentences=sentences_for(groups, differences, chosen, unit),
        importances=importances,
        notes=[*_notes(records, groups, chosen), *grouped.notes, *why],
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
        name=bundle.label,
        values={key: value_of(records[0], key) for key in grouped.columns},
        records=records,
        scores=scores,
        center=center.value,
        interval=_possible(interval_of(np.array(scores), is_trimmed=metric.is_return), scores, metric),
        deviation=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        num_lost=len(bundle.lost),
        seconds=sum(times) / len(times) if times else None,
        peak_memory_bytes=max((r.peak_memory_bytes for r in records if r.peak_memory_bytes), default=None),
        cpu_hours=_hours(records, lambda run: run.hardware.get("threads")),
        gpu_hours=_hours(records, lambda run: int(run.hardware.get("device") == "cuda")) or None,
    )


def _named(groups: list[Group]) -> list[Group]:
    """The groups with letters for names where their labels are too long for a sentence."""
    if all(len(group.label) <= LONGEST_NAME for group in groups):
        return groups
    return [replace(group, name=letters(i)) for i, group in enumerate(groups)]


def letters(index: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    text = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _importances(
    groups: list[Group], keys: list[str], *, is_wanted: bool | None
) -> tuple[dict[str, float], list[str]]:
    """The importance of each key, or the note that says why there is none."""
    if is_wanted is False or (is_wanted is None and (len(keys) < 2 or len(groups) < FEWEST)):
        return {}, []
    if not keys or len(groups) < FEWEST:
        return {}, [f"no importance of keys: it takes {FEWEST} different configs, there are {len(groups)}"]
    if is_wanted is None and len(groups) > MOST_UNASKED:
        return {}, [f"no importance of keys, which takes seconds for {len(groups)} configs: add --importance"]
    return find_importances(groups, keys), []


def _possible(interval: Interval | None, scores: list[float], metric: Metric) -> Interval | None:
    """The interval of a share without what lies below 0 or above 1."""
    if interval is None or not metric.in_points(scores):
        return interval
    return Interval(max(interval.low, 0.0), min(interval.high, 1.0))


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
    if damaged := [record for record in records if record.state == State.DAMAGED]:
        reasons = listed([f"{record.name} ({record.problem})" for record in damaged])
        notes.append(f"{len(damaged)} left out, cannot be read: {reasons}")
    if all(len(group.scores) == 1 for group in groups):
        notes.append("one seed only: no interval, and nothing to tell luck from merit by; -m seed=0,1,2,3,4")
    return notes
