"""Random numbers as a function of a key: the same on every machine and device, in any order and any batch.

Numpy promises that the raw output of `Philox` and `SeedSequence` never change; it promises no such thing of
its distributions and permutations.
"""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# SplitMix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195, figure 17), with its constants as signed
# 64-bit integers: int64 products and sums wrap around in numpy's arrays, and in torch on every device.
_Integers = TypeVar("_Integers", Tensor, NDArray[np.int64])
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FACTORS = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_MASK = (1 << 64) - 1
_BITS = 24  # exact in float32


def example_seeds(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """(B,) int64 in [0, 2^63): a hash of seed, epoch and row number for each of the rows.

    Args:
        rows: (B,) int64 >= 0, positions of the examples in their split.
        seed: Of the data order.
        epoch: Number of the epoch.
    """
    return _mixed(rows ^ _epoch_key(seed, epoch)) & (_MASK >> 1)


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """(count,) int64: the numbers below `count` in the order of an epoch; 60,000 numbers take about 5 ms."""
    raw = np.random.Philox(key=[seed & _MASK, epoch & _MASK]).random_raw(count)
    return np.argsort(np.asarray(raw, np.uint64), kind="stable").astype(np.int64)


def uniforms(count: int, *key: int) -> NDArray[np.float64]:
    """(count,) float64 in [0, 1): the top 53 bits of the raw output of a Philox generator.

    Args:
        count: How many.
        key: Integers >= 0, for example seed, split and number of a batch; another key, other numbers.
    """
    philox = np.random.Philox(key=np.random.SeedSequence(key).generate_state(2, np.uint64))
    raw = np.asarray(philox.random_raw(count), np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smallest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(..., count) int64: places of the `count` smallest along the last axis, smallest first.

    Of independent uniform values these are `count` places drawn without replacement, in random order.
    """
    places = np.argpartition(values, count - 1, axis=-1)[..., :count]
    order = np.argsort(np.take_along_axis(values, places, -1), axis=-1, kind="stable")
    return np.take_along_axis(places, order, -1).astype(np.int64)


def seeded_uniform(seeds: Tensor, stream: int) -> Tensor:
    """(B,) float32 in [0, 1), one for each of (B,) int64 seeds; other streams are independent of it."""
    return _bits(seeds, stream).float() * 2.0**-_BITS


def seeded_integers(seeds: Tensor, stream: int, count: int) -> Tensor:
    """(B,) int64 in [0, count), one for each of (B,) int64 seeds; count at most 2^24."""
    return (_bits(seeds, stream) * count) >> _BITS  # a float product could round up to `count`


@lru_cache(maxsize=16)  # every batch of an epoch asks
def _epoch_key(seed: int, epoch: int) -> int:
    """A hash of both, as a signed 64-bit integer."""
    return int(_mixed(_mixed(np.array([seed], np.int64)) ^ epoch)[0])


def _bits(seeds: Tensor, stream: int) -> Tensor:
    """(B,) int64 in [0, 2^24): the upper bits of a hash of seed and stream."""
    step = (stream * _GOLDEN) & _MASK
    return _shift(_mixed(seeds + (step - (1 << 64) if step >= 1 << 63 else step)), 64 - _BITS)


def _mixed(values: _Integers) -> _Integers:
    """SplitMix64's next output after each int64 state."""
    values = values + _GOLDEN
    values = (values ^ _shift(values, 30)) * _FACTORS[0]
    values = (values ^ _shift(values, 27)) * _FACTORS[1]
    return values ^ _shift(values, 31)


def _shift(values: _Integers, bits: int) -> _Integers:
    """Logical shift to the right; the operator repeats the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
