"""The order of an epoch: random, yet with texts of similar length in one batch."""

from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.draws import uniforms
from aiexp.dataset.order import MOST_SHUFFLED, Order
from aiexp.dataset.text.ragged import Ragged

# Batches sorted by length together: more means less padding and less randomness. At 50 x 32 movie-review
# sentences padding is a few percent of all tokens.
SORTED_TOGETHER = 50


@final
class EpochBatches:
    """The batches of one epoch as row numbers: every row once, one batch may be smaller.

    A pure function of its arguments. The rows are shuffled, cut into groups of `SORTED_TOGETHER` batches,
    each group is sorted by length and cut into batches, and the batches are shuffled: all batches of the
    epoch, or where there are more than `MOST_SHUFFLED` rows those of each group, one group after the other.

    Args:
        tokens: The rows.
        batch_size: Rows in a batch.
        seed: Of the data order.
        epoch: Number of the epoch; each has its own order.
    """

    def __init__(self, tokens: Ragged, batch_size: int, seed: int, epoch: int) -> None:
        self._tokens, self._batch_size, self._key = tokens, batch_size, (seed, epoch)
        self._group, self._batches = -1, list[NDArray[np.int64]]()
        self._order: Order | None = None
        if len(tokens) > MOST_SHUFFLED:
            self._order = Order(len(tokens), seed, epoch)
        else:
            lengths = tokens.lengths(np.arange(len(tokens)))
            self._batches = epoch_batches(lengths, batch_size, seed, epoch)

    def __getitem__(self, position: int) -> NDArray[np.int64]:
        """(B,) int64: the rows of a batch, the first of the epoch being 0."""
        if self._order is None:
            return self._batches[position]
        group, position = divmod(position, SORTED_TOGETHER)
        if group != self._group:
            size = self._batch_size * SORTED_TOGETHER
            rows = self._order.between(group * size, (group + 1) * size)
            batches = _by_length(rows, self._tokens.lengths(rows), self._batch_size)
            order = np.argsort(uniforms(len(batches), *self._key, group), kind="stable")
            self._group, self._batches = group, [batches[i] for i in order]
        return self._batches[position]


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The batches of an epoch of few rows.

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
        batches += _by_length(group, lengths[group], batch_size)
    return [batches[i] for i in random.permutation(len(batches))]


def _by_length(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], batch_size: int
) -> list[NDArray[np.int64]]:
    """Batches of a group; equal lengths stay in their shuffled order."""
    rows = rows[np.argsort(lengths, kind="stable")]
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
