"""Random numbers that are a function of a key: the same on every machine, whoever asks and in any order."""

import numpy as np
from numpy.typing import NDArray

_DOUBLE = 2.0**-53


def uniforms(count: int, *key: int) -> NDArray[np.float64]:
    """(count,) float64 in [0, 1): the top 53 bits of the raw output of a Philox generator.

    Numpy promises that raw output and `SeedSequence` never change; it promises no such thing of its
    distributions.

    Args:
        count: How many.
        key: Integers >= 0, for example seed, split and number of a batch; another key, other numbers.
    """
    philox = np.random.Philox(key=np.random.SeedSequence(key).generate_state(2, np.uint64))
    raw = np.asarray(philox.random_raw(count), np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64) * _DOUBLE


def smallest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(..., count) int64: places of the `count` smallest along the last axis, smallest first.

    Of independent uniform values these are `count` places drawn without replacement, in random order.
    """
    places = np.argpartition(values, count - 1, axis=-1)[..., :count]
    order = np.argsort(np.take_along_axis(values, places, -1), axis=-1, kind="stable")
    return np.take_along_axis(places, order, -1).astype(np.int64)
