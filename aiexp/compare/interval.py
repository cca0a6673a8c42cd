"""The middle of a few runs and the interval that holds the true one in 95 of 100 such studies.

Measured by scripts/bench/coverage.py; docs/decisions.md says what else was tried. Only scipy.special is used:
importing scipy.stats takes a second.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
TRIM = 0.25  # of the scores at each end, for the interquartile mean
NUM_RESAMPLES = 5000
FEWEST_TO_RESAMPLE = 5  # of fewer scores too many resamples hold one of them only
WIDEST = 2.5  # times Student's half-width: where resamples of tied scores have no spread of their own
FAR = 1e9  # standard errors, for a resample without spread
STUDIES_AT_ONCE = 20
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
        """Student's 95 % interval; None for a single score, which says nothing of the others."""
        if self.freedom <= 0:
            return None
        half = student(self.freedom) * self.error
        return Interval(self.value - half, self.value + half)


def center_of(scores: Array, *, is_trimmed: bool) -> Center:
    """Mean or interquartile mean of independent scores.

    Args:
        scores: (n,), n >= 1.
        is_trimmed: Whether to take the interquartile mean. Of fewer than 4 scores it is the mean.

    Source: Student 1908. Interquartile mean: Agarwal et al. 2021 (arXiv 2108.13264); its error after Tukey
    and McLaughlin 1963, as in Yuen 1974.
    """
    value, error = _middle(scores, is_trimmed=is_trimmed)
    return Center(float(value), float(error), _kept(len(scores), is_trimmed=is_trimmed) - 1)


def interval_of(scores: Array, *, is_trimmed: bool) -> Interval | None:
    """The 95 % interval of the mean, or interquartile mean, of independent scores; None for a single one.

    Args:
        scores: (n,), in any order.
        is_trimmed: Whether it is of the interquartile mean.
    """
    if len(scores) < 2:
        return None
    ((low, high),) = intervals_of(scores[None], is_trimmed=is_trimmed)
    return Interval(float(low), float(high))


def intervals_of(studies: Array, *, is_trimmed: bool) -> Array:
    """The interval of each of many studies.

    Of 2 to 4 scores it is Student's. From 5 on it is the studentized bootstrap, which like Student's
    divides by each resample's own error, but learns from the scores how lopsided their distribution is.

    Args:
        studies: (S, n), n >= 2.
        is_trimmed: Whether they are of the interquartile mean.

    Returns:
        (S, 2): low and high.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 12.5.
    """
    num_studies, n = studies.shape
    value, error = _middle(studies, is_trimmed=is_trimmed)
    half = student(_kept(n, is_trimmed=is_trimmed) - 1) * error
    if n < FEWEST_TO_RESAMPLE:
        return np.stack([value - half, value + half], axis=1)
    studies = np.sort(studies, axis=1)  # so that the order of the runs does not matter
    found = np.empty((num_studies, 2))
    for start in range(0, num_studies, STUDIES_AT_ONCE):
        part = slice(start, start + STUDIES_AT_ONCE)
        resampled, errors = _middle(studies[part][:, _resamples(n)], is_trimmed=is_trimmed)  # (S, R)
        off = resampled - value[part, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(off == 0, 0.0, off / errors)
        ratios = np.nan_to_num(np.sort(ratios, axis=1), posinf=FAR, neginf=-FAR)
        tail = round((1 - CONFIDENCE) / 2 * NUM_RESAMPLES)
        found[part, 0] = value[part] - _limited(ratios[:, -1 - tail] * error[part], half[part])
        found[part, 1] = value[part] + _limited(-ratios[:, tail] * error[part], half[part])
    return found


def student(freedom: float) -> float:
    """How many standard errors Student's 95 % interval reaches to each side."""
    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _limited(reach: Array, half: Array) -> Array:
    """How far an interval reaches to one side, kept near Student's."""
    return np.clip(reach, half / WIDEST, half * WIDEST)


def _kept(n: int, *, is_trimmed: bool) -> int:
    """How many of n scores the middle is the mean of."""
    return n - 2 * int(TRIM * n) if is_trimmed else n


def _middle(scores: Array, *, is_trimmed: bool) -> tuple[Array, Array]:
    """The middle of scores along the last axis, and its standard error (0 for a single score)."""
    n = scores.shape[-1]
    kept = _kept(n, is_trimmed=is_trimmed)
    if kept == n:
        inner = spread = scores
    else:
        ordered = np.sort(scores, axis=-1)
        cut = (n - kept) // 2
        inner = ordered[..., cut : n - cut]
        spread = np.clip(ordered, inner[..., :1], inner[..., -1:])  # winsorized
    squares = ((spread - spread.mean(-1, keepdims=True)) ** 2).sum(-1)
    return inner.mean(-1), np.sqrt(squares / max(kept * (kept - 1), 1))


@functools.cache
def _resamples(n: int) -> NDArray[np.intp]:
    """(R, n): which scores each resample holds; the same every time, so that a table never changes."""
    return np.random.default_rng(n).integers(0, n, (NUM_RESAMPLES, n))
