"""Runs put into groups and compared: everything that any of the formats shows."""

from dataclasses import dataclass, field
from typing import Any

from aiexp.compare.metric import Metric
from aiexp.compare.statistics.difference import Difference
from aiexp.compare.statistics.interval import Interval
from aiexp.rundir.record import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Runs that are equal but for the seed, or equal in the key they were grouped by.

    Args:
        label: What tells it from the others: "lr=0.001 model=large"; "all runs" for the only group.
        name: What sentences call it: the label, or a letter where labels are long.
        values: Key to value, of the comparison's `columns`.
        records: Its runs whose score is a number, by seed; one for each seed.
        scores: The metric of each of them.
        center: Mean or interquartile mean of the scores.
        interval: 95 %; None for a single run.
        deviation: Standard deviation of the scores; None for a single run.
        num_lost: Runs of the group that have no usable score: failed, stopped, or not a number.
        seconds: Mean time of a run.
        peak_memory_bytes: The largest of its runs.
        cpu_hours: Time by threads, of all its runs together.
        gpu_hours: The same for GPUs.
    """

    label: str
    name: str
    values: dict[str, Any]
    records: list[RunRecord]
    scores: list[float]
    center: float
    interval: Interval | None = None
    deviation: float | None = None
    num_lost: int = 0
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    cpu_hours: float | None = None
    gpu_hours: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Groups of runs, the best first, and what can be said of them.

    Args:
        metric: What they are compared by.
        statistic: "mean" or "interquartile mean": what `center` of each group is.
        columns: The config keys the groups are told apart by, with full names.
        names: Short name of each column.
        differing: Every config key that differs between the runs, apart from seeds and noise.
        groups: The best first.
        differences: Pairs of groups; all of them up to 10 groups, else those with the best.
        unit: What a group holds several of: "seeds", or "runs" where it mixes configs.
        sentences: What the differences mean, in words.
        importances: Share of the metric's variation that each differing key explains, the largest first;
            empty when it was not computed, which a note explains.
        notes: What was left out, mixed or guessed.
        left_out: Runs that count nowhere: not finished, damaged, without the metric, repeated.
    """

    metric: Metric
    statistic: str
    columns: list[str]
    names: dict[str, str]
    differing: list[str]
    groups: list[Group]
    differences: list[Difference] = field(default_factory=lambda: [])
    unit: str = "seeds"
    sentences: list[str] = field(default_factory=lambda: [])
    importances: dict[str, float] = field(default_factory=lambda: {})
    notes: list[str] = field(default_factory=lambda: [])
    left_out: list[RunRecord] = field(default_factory=lambda: [])
