"""A part of labelled examples with the same share of each class; it never moves with the seed."""

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.example_seed import example_seeds


def even_subset(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(count,) int64: row numbers in ascending order, each class with its share to within one example.

    Which examples of a class follows from a fixed hash of the row numbers, so they come from everywhere in
    the data, whatever the seed. A smaller subset lies inside a larger one.

    Args:
        labels: (N,) int64, the class of each row.
        count: Rows to take, at most N.
    """
    order = np.argsort(example_seeds(np.arange(len(labels)), 0, 0), kind="stable")
    # The rank of a row within its class over the size of the class: taking the smallest of these takes the
    # same share of each class.
    shares = np.zeros(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        shares[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(shares, kind="stable")[:count]).astype(np.int64)
