"""The order of an epoch: random, yet with texts of similar length in one batch."""

import numpy as np
from numpy.typing import NDArray

# Batches sorted by length together: more means less padding and less randomness. At 50 x 32 movie-review
# sentences padding is a few percent of all tokens.
SORTED_TOGETHER = 50


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The batches of one epoch as row numbers: every row once, the last smaller batch kept.

    A pure function of its arguments. The rows are shuffled, cut into groups of `SORTED_TOGETHER` batches,
    each group is sorted by length and cut into batches, and the batches are shuffled.

    Args:
        lengths: (N,) tokens in each row.
        batch_size: Rows in a batch.
        seed: Of the data order.
        epoch: Number of the epoch; each has its own order.
    """
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(lengths))
    group_size = batch_size * SORTED_TOGETHER
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(rows), group_size):
        group = rows[start : start + group_size]
        # Equal lengths stay in their shuffled order.
        group = group[np.argsort(lengths[group], kind="stable")]
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]
