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
FEWEST_TO_TRIM = 4
FEWEST_TO_WIDEN = 6  # smallest and largest of 5 scores hold their own median in 94 % of studies only
FEWEST_TO_RESAMPLE = 5  # of fewer scores too many resamples hold one of them only
WIDEST = 2.5  # times Student's half-width: where resamples of tied scores have no spread of their own
FAR = 1e6  # how many times smaller than the scores' error that of a resample may be
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

    Source: Student 1908. Interquartile mean: Agarwal et al. 2021 (arXiv 2108.13264); its error is the
    deviation of bootstrap resamples (Efron 1979), with Student's quantile because n is small.
    """
    n = len(scores)
    if n < 2:
        return Center(float(scores.mean()), 0.0, 0)
    if not is_trimmed or n < FEWEST_TO_TRIM:
        value, error = _mean(scores)
        return Center(float(value), float(error), n - 1)
    resampled = interquartile_mean(np.sort(scores)[_resamples(n)])
    return Center(float(interquartile_mean(scores)), float(resampled.std(ddof=1)), n - 1)


def interquartile_mean(scores: Array) -> Array:
    """The mean of the middle half of the last axis, as scipy.stats.trim_mean(scores, 0.25)."""
    n = scores.shape[-1]
    cut = int(TRIM * n)
    return np.sort(scores, axis=-1)[..., cut : n - cut].mean(-1)


def interval_of(scores: Array, *, is_trimmed: bool) -> Interval | None:
    """The 95 % interval of the mean, or interquartile mean, of independent scores; None for a single one.

    Args:
        scores: (n,), in any order.
        is_trimmed: Whether it is of the interquartile mean.
    """
    if len(scores) < (FEWEST_TO_WIDEN if is_trimmed else FEWEST_TO_RESAMPLE):
        return center_of(scores, is_trimmed=is_trimmed).interval
    if is_trimmed:
        return widened(scores)
    ((low, high),) = studentized(scores[None])
    return Interval(float(low), float(high))


def widened(scores: Array) -> Interval:
    """The 95 % interval of the interquartile mean by the percentile bootstrap, widened for few runs.

    rliable has the same resamples with levels of 2.5 and 97.5 %, which hold the truth in 90 % of studies of
    5 runs.

    Args:
        scores: (n,), n >= 6.

    Source: Agarwal et al. 2021 (arXiv 2108.13264); the levels: Hesterberg 2015 (The American Statistician
    69), section 3.4.
    """
    n = len(scores)
    resampled = np.sort(interquartile_mean(np.sort(scores)[_resamples(n)]))
    level = float(special.ndtr(-((n / (n - 1)) ** 0.5) * student(n - 1)))
    low, high = np.quantile(resampled, [level, 1 - level])
    return Interval(float(low), float(high))


def studentized(studies: Array) -> Array:
    """The 95 % interval of the mean of each of many studies, by the studentized bootstrap.

    Like Student's it divides by each resample's own error, but it learns from the scores how lopsided
    their distribution is.

    Args:
        studies: (S, n), n >= 5.

    Returns:
        (S, 2): low and high.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 12.5.
    """
    num_studies, n = studies.shape
    studies = np.sort(studies, axis=1)  # so that the order of the runs does not matter
    value, error = _mean(studies)
    half = student(n - 1) * error
    tail = round((1 - CONFIDENCE) / 2 * NUM_RESAMPLES)
    found = np.empty((num_studies, 2))
    for start in range(0, num_studies, STUDIES_AT_ONCE):
        part = slice(start, start + STUDIES_AT_ONCE)
        resampled, errors = _mean(studies[part][:, _resamples(n)])  # (S, R)
        off = resampled - value[part, None]
        smallest = np.maximum(error[part, None] / FAR, np.finfo(float).tiny)
        ratios = np.sort(off / np.maximum(errors, smallest), axis=1)
        found[part, 0] = value[part] - _limited(ratios[:, -1 - tail] * error[part], half[part])
        found[part, 1] = value[part] + _limited(-ratios[:, tail] * error[part], half[part])
    return found


def student(freedom: float) -> float:
    """How many standard errors Student's 95 % interval reaches to each side."""
    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _limited(reach: Array, half: Array) -> Array:
    """How far an interval reaches to one side, kept near Student's."""
    return np.clip(reach, half / WIDEST, half * WIDEST)


def _mean(scores: Array) -> tuple[Array, Array]:
    """The mean of the last axis and its standard error."""
    n = scores.shape[-1]
    mean = scores.mean(-1)
    squares = ((scores - mean[..., None]) ** 2).sum(-1)
    return mean, np.sqrt(squares / (n * (n - 1)))


@functools.cache
def _resamples(n: int) -> NDArray[np.intp]:
    """(R, n): which scores each resample holds; the same every time, so that a table never changes."""
    return np.random.default_rng(n).integers(0, n, (NUM_RESAMPLES, n))
