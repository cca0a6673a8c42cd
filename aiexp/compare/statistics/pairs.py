"""The tests of all pairs of groups at once: of 200 groups there are 19,900."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from aiexp.compare.statistics.interval import Array, center_of

SHARED = 0.5  # of the larger group's runs must be shared for a paired comparison
MOST_RESAMPLED = 300  # pairs of interquartile means, a millisecond each; of more groups none is paired
NO_SPREAD = 1e-12  # variance relative to the mean square, below which it is rounding

Scores = Mapping[Hashable, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairTests:
    """Every pair i < j of G groups, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        first: (P,) i of each pair.
        second: (P,) j.
        value: (P,) middle of i minus middle of j, of their shared runs where they are paired.
        error: (P,) its standard error.
        freedom: (P,) degrees of freedom; 0 where it cannot be tested.
        is_paired: (P,) whether runs that share their key were subtracted from each other.
        num_runs: (P,) pairs of runs, or the runs of the smaller group.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    value: Array
    error: Array
    freedom: Array
    is_paired: NDArray[np.bool_]
    num_runs: NDArray[np.intp]

    def p_values(self) -> Array:
        """(P,) two-sided, of no difference; NaN where it cannot be tested: one run, or no spread at all."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * special.stdtr(self.freedom, -np.abs(self.value) / self.error)
        p = np.where(self.error > 0, p, np.where(self.value == 0, 1.0, np.nan))
        return np.where(self.freedom > 0, p, np.nan)


def pair_tests(groups: Sequence[Scores], *, is_trimmed: bool) -> PairTests:
    """Tests all pairs: on the runs that share their key where most do, else as two samples.

    Args:
        groups: Scores by what two runs must share to be a pair (the seed); no group is empty.
        is_trimmed: Whether interquartile means are compared.

    Source: paired t-test; Welch 1947.
    """
    centers = [center_of(np.array(list(group.values())), is_trimmed=is_trimmed) for group in groups]
    sizes = np.array([len(group) for group in groups])
    i, j = np.triu_indices(len(groups), 1)
    scores, held = _table(groups)
    num_shared = (held @ held.T)[i, j]
    is_paired = (num_shared >= 2) & (num_shared > SHARED * np.maximum(sizes[i], sizes[j]))
    if is_trimmed and len(i) > MOST_RESAMPLED:
        is_paired[:] = False
    value, error, freedom = _welch(np.array([[c.value, c.error, c.freedom] for c in centers]), i, j)
    paired = _trimmed_pairs(groups, i, j, is_paired) if is_trimmed else _mean_pairs(scores, held, i, j)
    return PairTests(
        first=i,
        second=j,
        value=np.where(is_paired, paired[0], value),
        error=np.where(is_paired, paired[1], error),
        freedom=np.where(is_paired, num_shared - 1, freedom),
        is_paired=is_paired,
        num_runs=np.where(is_paired, num_shared, np.minimum(sizes[i], sizes[j])).astype(int),
    )


def _table(groups: Sequence[Scores]) -> tuple[Array, Array]:
    """Scores (G, K) by group and key, centered, 0 where there is none; and where there is one."""
    keys = {key: column for column, key in enumerate(dict.fromkeys(key for group in groups for key in group))}
    scores, held = np.zeros((len(groups), len(keys))), np.zeros((len(groups), len(keys)))
    for row, group in enumerate(groups):
        columns = [keys[key] for key in group]
        scores[row, columns] = list(group.values())
        held[row, columns] = 1
    scores -= held * (scores.sum(0) / held.sum(0))  # what all share cancels here, not in the squares below
    return scores, held


def _mean_pairs(scores: Array, held: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[Array, Array]:
    """(P,) mean and standard error of the differences between shared runs."""
    squares = scores**2
    n = np.maximum((held @ held.T)[i, j], 1)
    total = (scores @ held.T)[i, j] - (scores @ held.T)[j, i]
    square = (squares @ held.T)[i, j] + (squares @ held.T)[j, i] - 2 * (scores @ scores.T)[i, j]
    mean = total / n
    variance = (square - n * mean**2) / np.maximum(n - 1, 1)
    variance = np.where(variance > NO_SPREAD * square, variance, 0.0)
    return mean, np.sqrt(variance / n)


def _trimmed_pairs(
    groups: Sequence[Scores], i: NDArray[np.intp], j: NDArray[np.intp], is_paired: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """(P,) interquartile mean and standard error of the differences between shared runs, where paired."""
    value, error = np.zeros(len(i)), np.zeros(len(i))
    for pair in np.flatnonzero(is_paired):
        a, b = groups[i[pair]], groups[j[pair]]
        center = center_of(np.array([a[key] - b[key] for key in a if key in b]), is_trimmed=True)
        value[pair], error[pair] = center.value, center.error
    return value, error


def _welch(centers: Array, i: NDArray[np.intp], j: NDArray[np.intp]) -> tuple[Array, Array, Array]:
    """(P,) difference, standard error and degrees of freedom of two samples each.

    Args:
        centers: (G, 3) value, error and degrees of freedom of each group.
        i: (P,) the first group of each pair.
        j: (P,) the second.
    """
    value, error, freedom = centers.T
    square = error**2
    total = square[i] + square[j]
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = total**2 / (square[i] ** 2 / freedom[i] + square[j] ** 2 / freedom[j])
    joint = np.where(total > 0, joint, freedom[i] + freedom[j])
    return value[i] - value[j], np.sqrt(total), np.where(np.minimum(freedom[i], freedom[j]) > 0, joint, 0.0)
