"""A part of labelled examples with the same share of each class; it never moves with the seed."""

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.draws import example_seeds


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
    # The rank of a row within its class over the size of the class: taking the smallest of these takes the
    # same share of each class.
    shares = np.zeros(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        shares[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(shares, kind="stable")[:count]).astype(np.int64)
