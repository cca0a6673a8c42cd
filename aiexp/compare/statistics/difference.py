"""Differences between groups of runs, each with its interval and a p-value corrected for their number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from aiexp.compare.statistics.interval import Array, Center, Interval
from aiexp.compare.statistics.pairs import PairTests, Scores, pair_tests

LEVEL = 0.05  # false alarms among all the pairs of a comparison together
POWER = 0.8
MOST_RUNS = 1000
MOST_GROUPS = 10  # of more groups, only the pairs with the first are returned


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


def compare_pairs(groups: Sequence[Scores], sign: int, *, is_trimmed: bool) -> list[Difference]:
    """The pairs of up to 10 groups, or of more those with the first; corrected for all pairs in any case.

    Args:
        groups: Scores by what two runs must share to be a pair (the seed); no group is empty.
        sign: 1 when more is better, else -1.
        is_trimmed: Whether interquartile means are compared.
    """
    tests = pair_tests(groups, is_trimmed=is_trimmed)
    p_values = tests.p_values()
    adjusted, levels = holm(p_values)
    kept = np.arange(len(p_values)) if len(groups) <= MOST_GROUPS else np.flatnonzero(tests.first == 0)
    return [_difference(tests, int(k), sign, p_values[k], adjusted[k], levels[k]) for k in kept]


def _difference(tests: PairTests, k: int, sign: int, p: float, adjusted: float, level: float) -> Difference:
    """One pair, turned so that the better group is first."""
    i, j, value = int(tests.first[k]), int(tests.second[k]), float(tests.value[k])
    center = Center(abs(value), float(tests.error[k]), float(tests.freedom[k]))
    num_runs, is_paired = int(tests.num_runs[k]), bool(tests.is_paired[k])
    is_open = not np.isnan(p) and adjusted >= LEVEL
    return Difference(
        first=i if value * sign >= 0 else j,
        second=j if value * sign >= 0 else i,
        value=center.value,
        interval=center.interval,
        p=None if np.isnan(p) else float(p),
        adjusted_p=None if np.isnan(p) else float(adjusted),
        is_paired=is_paired,
        num_runs=num_runs,
        needed_runs=needed_runs(center, num_runs, level, is_paired=is_paired) if is_open else None,
    )


def holm(p_values: Array) -> tuple[Array, Array]:
    """(P,) corrected p-values, and the level at which each pair is tested; NaN is no test and stays NaN.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    adjusted, levels = np.full(len(p_values), np.nan), np.full(len(p_values), LEVEL)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    left = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * left), 1.0)
    levels[order] = LEVEL / left
    return adjusted, levels


def needed_runs(center: Center, num_runs: int, level: float, *, is_paired: bool) -> int | None:
    """Runs a group needs for the difference seen to be told from none with power 80 %.

    Args:
        center: The difference, its error and degrees of freedom.
        num_runs: Runs a group that it comes from.
        level: Of the test.
        is_paired: Whether runs were subtracted from each other.

    Returns:
        None above 1,000, and where nothing can be said.

    Source: Cohen 1988, Statistical Power Analysis, chapter 2, with the noncentral t-distribution.
    """
    if center.freedom <= 0 or center.error <= 0 or center.value == 0:
        return None
    effect = center.value / (center.error * num_runs**0.5)  # in standard deviations of one pair
    low, high = num_runs, MOST_RUNS + 1  # not enough; enough, as far as we look
    while high - low > 1:
        n = (low + high) // 2
        freedom = (n - 1) * (1 if is_paired else 2)
        critical = special.stdtrit(freedom, 1 - level / 2)
        is_enough = 1 - special.nctdtr(freedom, effect * n**0.5, critical) >= POWER
        low, high = (low, n) if is_enough else (n, high)
    return high if high <= MOST_RUNS else None
