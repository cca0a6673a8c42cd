"""Differences between groups of runs, each with its interval and a p-value corrected for their number."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from aiexp.compare.interval import Center, Interval, center_of

LEVEL = 0.05  # false alarms among all the pairs of a comparison together
POWER = 0.8
MOST_SEEDS = 1000
SHARED = 0.5  # of the larger group's runs, for a paired comparison

Scores = Mapping[Hashable, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Two groups compared; `first` has the better middle.

    Args:
        first: Index of the better group.
        second: Index of the other.
        value: How much better, in the metric's unit, never negative.
        interval: 95 % of this one difference, uncorrected; None when a group has a single run.
        p: Of no difference, two-sided; None when it cannot be tested.
        adjusted_p: After Holm's correction for all pairs.
        is_paired: Whether runs of equal seed were subtracted from each other.
        num_runs: Pairs of runs, or the runs of the smaller group.
        needed_runs: Runs a group at which a difference as large as this one would be seen with power
            80 %; None when it is seen already, cannot be estimated, or is above 1,000.
    """

    first: int
    second: int
    value: float
    interval: Interval | None = None
    p: float | None = None
    adjusted_p: float | None = None
    is_paired: bool = False
    num_runs: int = 1
    needed_runs: int | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the two can be told apart."""
        return self.adjusted_p is not None and self.adjusted_p < LEVEL


@dataclass(frozen=True, slots=True)
class _Test:
    center: Center
    is_paired: bool
    num_runs: int

    @property
    def p(self) -> float | None:
        if self.center.freedom <= 0:
            return None
        if self.center.error == 0:  # no spread to judge by, unless there is nothing to judge
            return 1.0 if self.center.value == 0 else None
        return float(2 * special.stdtr(self.center.freedom, -abs(self.center.value) / self.center.error))


def compare_pairs(groups: Sequence[Scores], sign: int, *, is_trimmed: bool) -> list[Difference]:
    """Every pair of groups, in the order of the groups.

    Args:
        groups: Scores by what two runs must share to be a pair (the seed); no group is empty.
        sign: 1 when more is better, else -1.
        is_trimmed: Whether interquartile means are compared.

    Source: paired and Welch's t-test, trimmed after Yuen 1974; Holm 1979.
    """
    arrays = [np.array(list(group.values())) for group in groups]
    centers = [center_of(array, is_trimmed=is_trimmed) for array in arrays]
    tests: dict[tuple[int, int], _Test] = {}
    for i in range(len(groups)):
        for j in range(i + 1, len(groups)):
            tests[i, j] = _test(groups[i], groups[j], centers[i], centers[j], is_trimmed=is_trimmed)
    adjusted, levels = holm([test.p for test in tests.values()])
    return [
        _difference(pair, test, sign, p, level)
        for (pair, test), p, level in zip(tests.items(), adjusted, levels, strict=True)
    ]


def _difference(
    pair: tuple[int, int], test: _Test, sign: int, adjusted: float | None, level: float
) -> Difference:
    i, j = pair if test.center.value * sign >= 0 else pair[::-1]
    center = Center(abs(test.center.value), test.center.error, test.center.freedom)
    is_sure = adjusted is not None and adjusted < LEVEL
    return Difference(
        first=i,
        second=j,
        value=center.value,
        interval=center.interval,
        p=test.p,
        adjusted_p=adjusted,
        is_paired=test.is_paired,
        num_runs=test.num_runs,
        needed_runs=None if is_sure else needed_runs(test.center, test.num_runs, test.is_paired, level),
    )


def _test(first: Scores, second: Scores, a: Center, b: Center, *, is_trimmed: bool) -> _Test:
    """The difference first - second: of runs that share their key where most do, else of two samples."""
    shared = [key for key in first if key in second]
    if len(shared) >= 2 and len(shared) > SHARED * max(len(first), len(second)):
        differences = np.array([first[key] - second[key] for key in shared])
        return _Test(center_of(differences, is_trimmed=is_trimmed), True, len(shared))
    num_runs = min(len(first), len(second))
    if min(a.freedom, b.freedom) <= 0:
        return _Test(Center(a.value - b.value, 0.0, 0), False, num_runs)
    squares = a.error**2 + b.error**2
    parts = a.error**4 / a.freedom + b.error**4 / b.freedom
    freedom = squares**2 / parts if parts > 0 else a.freedom + b.freedom
    return _Test(Center(a.value - b.value, squares**0.5, freedom), False, num_runs)


def holm(p_values: Sequence[float | None]) -> tuple[list[float | None], list[float]]:
    """Corrected p-values, and the level at which each pair was tested; None stays None.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    levels = [LEVEL] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i], levels[i] = largest, LEVEL / (len(order) - rank)
    return adjusted, levels


def needed_runs(center: Center, num_runs: int, is_paired: bool, level: float) -> int | None:
    """Runs a group needs for the difference seen to be told from none with power 80 %; None above 1,000.

    Source: Cohen 1988, chapter 2, with the noncentral t-distribution.
    """
    if center.freedom <= 0 or center.error <= 0 or center.value == 0:
        return None
    effect = abs(center.value) / (center.error * num_runs**0.5)  # in standard deviations of one pair
    n = np.arange(2, MOST_SEEDS + 1)
    freedom = (n - 1) * (1 if is_paired else 2)
    critical = special.stdtrit(freedom, 1 - level / 2)
    power = 1 - special.nctdtr(freedom, effect * np.sqrt(n), critical)
    enough = np.flatnonzero(power >= POWER)
    return max(int(n[enough[0]]), num_runs + 1) if len(enough) else None
