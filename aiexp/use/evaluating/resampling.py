"""How far a number that was measured on some examples would move on others: intervals of 95 %."""

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
LEVELS = (0.025, 0.975)  # of a 95 % interval
QUANTILE = 1.959964  # of the normal distribution, to each side
Interval = tuple[float, float]


def interval(resampled: NDArray[np.float64]) -> Interval | None:
    """The 95 % percentile interval of a number in (R,) resamples; None where too few of them have one."""
    values = resampled[~np.isnan(resampled)]
    if len(values) < NUM_RESAMPLES / 2:
        return None
    low, high = np.quantile(values, LEVELS)
    return float(low), float(high)


def gain_interval(hits: NDArray[np.bool_], others: NDArray[np.bool_]) -> Interval:
    """The 95 % interval of how much more often one classifier is right than another, on the same examples.

    Resampling the N pairs is drawing how many of them are won, lost and tied, so no example is copied.

    Args:
        hits: (N,) where the one is right.
        others: (N,) where the other is.

    Source: the paired bootstrap, Efron and Tibshirani 1993, An Introduction to the Bootstrap.
    """
    n = len(hits)
    won, lost = int((hits & ~others).sum()), int((others & ~hits).sum())
    random = np.random.default_rng(n)
    drawn = random.multinomial(n, [won / n, lost / n, (n - won - lost) / n], NUM_RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, LEVELS)
    return float(low), float(high)


def wilson(part: float, whole: float) -> Interval:
    """The 95 % interval of a share of independent examples.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    share, square = part / whole, QUANTILE**2 / whole
    middle = share + square / 2
    half = QUANTILE * ((share * (1 - share) + square / 4) / whole) ** 0.5
    return max((middle - half) / (1 + square), 0.0), min((middle + half) / (1 + square), 1.0)
