"""Randomness of an example as a number: a hash of (seed, epoch, index), the same on every machine."""

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_INT64 = np.uint64((1 << 63) - 1)


def example_seeds(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """(B,) int64 in [0, 2^63): a hash of seed, epoch and row number for each of the rows.

    Source: the finaliser of splitmix64 (Steele, Lea and Flood 2014), applied to each number in turn.

    Args:
        rows: (B,) int64 >= 0, positions of the examples in their split.
        seed: Of the data order.
        epoch: Number of the epoch.
    """
    key = _mixed(_mixed(seed & _MASK) ^ (epoch & _MASK))
    return (_mixed_array(rows.astype(np.uint64) ^ np.uint64(key)) & _INT64).astype(np.int64)


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """(count,) int64: the numbers below `count` in the order of an epoch.

    Sorts the raw output of a Philox generator, which numpy promises never to change; it makes no such promise
    for `permutation`. 60,000 numbers take about 5 ms.
    """
    raw = np.random.Philox(key=[seed & _MASK, epoch & _MASK]).random_raw(count)
    return np.argsort(np.asarray(raw, np.uint64), kind="stable").astype(np.int64)


def _mixed(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def _mixed_array(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`_mixed` of each number; unsigned arrays wrap around by themselves."""
    values = values + np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(_FIRST)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_SECOND)
    return values ^ (values >> np.uint64(31))
