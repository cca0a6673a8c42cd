"""Parts of labelled rows with the same share of each class; they never move with the seed.

Rows come in an order of their own (of hashes, say) and in parts, so that any number of them can be divided.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.draws import example_seeds, shuffled
from aiexp.errors import ConfigError


@final
class Ranks:
    """The rank of each row within its class, of rows that come in parts."""

    def __init__(self, num_classes: int) -> None:
        self._seen = np.zeros(num_classes, np.int64)

    def __call__(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) int64: how many rows of the same class came before each of the next rows."""
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels, minlength=len(self._seen))
        before = np.cumsum(counts) - counts
        ranks = np.empty(len(labels), np.int64)
        ranks[order] = np.arange(len(labels)) - before[labels[order]] + self._seen[labels[order]]
        self._seen += counts
        return ranks


def cut(
    parts: Iterable[NDArray[np.int64]], sizes: NDArray[np.int64], fractions: Mapping[str, float]
) -> Iterator[NDArray[np.int8]]:
    """Which split each row belongs to: the first rows of each class to the first of `fractions`, and so on.

    In each class every split has its fraction to within one example, and at least one where the class is
    large enough.

    Args:
        parts: Labels of the rows in the order of their hashes, (B,) int64 each.
        sizes: (C,) int64, rows of each class in all.
        fractions: Split to fraction of each class in [0, 1); the rest is for training.

    Yields:
        For each part (B,) int8: 0 for training, 1 for the first of `fractions`, and so on.

    Raises:
        ConfigError: nothing would be left for training.
    """
    if sum(fractions.values()) >= 1:
        raise ConfigError(
            f"the fractions of {' and '.join(fractions)} leave nothing to train on",
            where=f"{next(iter(fractions))}_fraction",
            fix="make their sum less than 1",
        )
    ends = np.zeros(len(sizes), np.int64)
    bounds: list[NDArray[np.int64]] = []
    for fraction in fractions.values():
        counts = np.array([round(fraction * int(size)) for size in sizes], np.int64)
        counts[(fraction > 0) & (counts == 0) & (sizes > len(fractions))] = 1
        ends = ends + counts
        bounds.append(ends)
    ranks = Ranks(len(sizes))
    for labels in parts:
        rank, split = ranks(labels), np.zeros(len(labels), np.int8)
        for number in range(len(bounds), 0, -1):
            split[rank < bounds[number - 1][labels]] = number
        yield split


def even_rows(
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]], sizes: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """(limit,) int64: the first rows of each class with the same share of each class, ascending.

    A smaller choice lies inside a larger one.

    Args:
        parts: Rows in the order in which each class's are taken, and their labels, (B,) int64 each.
        sizes: (C,) int64, rows of each class in all.
        limit: Rows to take, at most all.
    """
    ranks = Ranks(len(sizes))
    rows, shares = np.zeros(0, np.int64), np.zeros(0)
    for part, labels in parts:
        # The rank of a row within its class over the size of the class: taking the smallest of these takes
        # the same share of each class; of equal ones the first rows.
        rows = np.concatenate([rows, part])
        shares = np.concatenate([shares, (ranks(labels) + 0.5) / sizes[labels]])
        chosen = np.lexsort((rows, shares))[:limit]
        rows, shares = rows[chosen], shares[chosen]
    return np.sort(rows)


def few_of_each(labels: NDArray[np.int64], shots: int, seed: int) -> NDArray[np.int64]:
    """Row numbers in ascending order: `shots` of each class drawn by a seed, all of a class that has fewer.

    Fewer shots of the same seed lie among more.

    Args:
        labels: (N,) int64, the class of each row.
        shots: Rows of a class.
        seed: Of the draw.
    """
    order = shuffled(len(labels), seed, 0)
    ranks = Ranks(int(labels.max(initial=0)) + 1)(labels[order])
    return np.sort(order[ranks < shots])


def even_subset(
    labels: NDArray[np.int64], count: int, order: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(count,) int64: row numbers in ascending order, each class with its share to within one example.

    A smaller subset lies inside a larger one.

    Args:
        labels: (N,) int64, the class of each row.
        count: Rows to take, at most N.
        order: (N,) int64, the rows in the order in which each class's are taken; None: that of a fixed hash
            of the row numbers, so that they come from everywhere in the data, whatever the seed.
    """
    if order is None:
        order = np.argsort(example_seeds(np.arange(len(labels)), 0, 0), kind="stable")
    return even_rows([(order, labels[order])], np.bincount(labels), count)
