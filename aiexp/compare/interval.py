"""The mean of a few runs and the interval that holds the true one in 95 of 100 such studies.

Only scipy.special is used: importing scipy.stats takes a second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
TRIM = 0.25  # of the scores at each end, for the interquartile mean
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Center:
    """The middle of some scores and how sure it is.

    Args:
        value: The mean, or the interquartile mean.
        error: Its standard error.
        freedom: Degrees of freedom of Student's distribution; 0 for a single score.
    """

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval; None for a single score, which says nothing of the others."""
        if self.freedom <= 0:
            return None
        half = quantile(self.freedom, CONFIDENCE) * self.error
        return Interval(self.value - half, self.value + half)


def quantile(freedom: float, confidence: float) -> float:
    """How many standard errors an interval reaches to each side."""
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def center_of(scores: Array, *, is_trimmed: bool) -> Center:
    """Mean or interquartile mean of independent scores.

    Args:
        scores: (n,), n >= 1.
        is_trimmed: Whether to take the interquartile mean. Below 4 scores it is the mean.

    Source: mean: Student 1908. Interquartile mean: Agarwal et al. 2021 (arXiv 2108.13264), its
    interval after Tukey and McLaughlin 1963, as in Yuen 1974.
    """
    n = len(scores)
    num_cut = int(TRIM * n) if is_trimmed else 0
    inner = np.sort(scores)[num_cut : n - num_cut]
    if n < 2:
        return Center(float(inner.mean()), 0.0, 0)
    winsorized = np.clip(scores, inner[0], inner[-1])
    kept = n - 2 * num_cut
    squares = float(((winsorized - winsorized.mean()) ** 2).sum())
    return Center(float(inner.mean()), (squares / (kept * (kept - 1))) ** 0.5, kept - 1)
