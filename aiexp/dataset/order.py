"""The order of an epoch: a permutation of any number of rows, of which only the part asked for is computed.

Few rows are shuffled as a whole. For more than `MOST_SHUFFLED` the order is a keyed bijection: a Feistel
network (Luby & Rackoff 1988, doi 10.1137/0217022) of six rounds of SplitMix64 over the smallest 2^b numbers
that hold all rows, walked until it falls below their count (Black & Rogaway 2002, doi
10.1007/3-540-45760-7_9). No two positions meet and nothing is kept. The tests find what uniformly drawn
permutations have: distances of neighbours, first places, fixed points, no correlation with the rows or with
other epochs. It is no cipher, and a key of 64 bits reaches only some of the orders.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.draws import example_seeds, shuffled

# Up to here a whole order takes less than 25 MB and 0.2 s, once an epoch.
MOST_SHUFFLED = 1 << 20
_ROUNDS = 6
# Positions computed together, which costs little more than one.
_BLOCK = 4096


@final
class Order:
    """The rows of a split in the order of one epoch; a pure function of its arguments.

    Args:
        count: Rows.
        seed: Of the data order.
        epoch: Number of the epoch; each has its own order.
    """

    def __init__(self, count: int, seed: int, epoch: int) -> None:
        self._count = count
        self._whole = shuffled(count, seed, epoch) if count <= MOST_SHUFFLED else None
        self._bijection = _Bijection(count, seed, epoch)
        self._last: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def between(self, start: int, stop: int) -> NDArray[np.int64]:
        """The rows (int64) at the positions from `start` up to but without `stop`, or the last."""
        if self._whole is not None:
            return self._whole[start:stop]
        first, last = start // _BLOCK, (min(stop, self._count) - 1) // _BLOCK
        blocks = [self._block(number) for number in range(first, last + 1)]
        return np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]

    def _block(self, number: int) -> NDArray[np.int64]:
        if self._last[0] != number:
            positions = np.arange(number * _BLOCK, min((number + 1) * _BLOCK, self._count))
            self._last = number, self._bijection(positions)
        return self._last[1]


@final
class _Bijection:
    """Maps the numbers below `count` onto themselves."""

    def __init__(self, count: int, seed: int, epoch: int) -> None:
        self._count = count
        bits = max(int(count - 1).bit_length(), 2)
        self._low_bits = bits // 2
        self._masks = ((1 << (bits - self._low_bits)) - 1, (1 << self._low_bits) - 1)
        self._keys = example_seeds(np.arange(_ROUNDS), seed, epoch).tolist()

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = self._permuted(positions)
        # Less than half of the range lies outside: it is walked twice on average at most.
        while len(outside := np.flatnonzero(rows >= self._count)):
            rows[outside] = self._permuted(rows[outside])
        return rows

    def _permuted(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """One pass of the network over numbers below 2^bits."""
        halves = [numbers >> self._low_bits, numbers & self._masks[1]]
        for round_number, key in enumerate(self._keys):
            side = round_number % 2
            # The upper bits of a hash of the other half, which SplitMix64 mixes best.
            hashed = example_seeds(halves[1 - side], key, round_number) >> 20
            halves[side] = halves[side] ^ (hashed & self._masks[side])
        return (halves[0] << self._low_bits) | halves[1]
