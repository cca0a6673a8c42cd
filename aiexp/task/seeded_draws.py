"""Random numbers as a function of a seed for each example: the same on every device, in any batch."""

from torch import Tensor

# SplitMix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195, figure 17), with its constants as signed
# 64-bit integers: int64 products and sums wrap around in torch on every device.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FACTORS = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_BITS = 24  # exact in float32


def uniform(seeds: Tensor, stream: int) -> Tensor:
    """(B,) float32 in [0, 1), one for each of (B,) int64 seeds; other streams are independent of it."""
    return _bits(seeds, stream).float() * 2.0**-_BITS


def integers(seeds: Tensor, stream: int, count: int) -> Tensor:
    """(B,) int64 in [0, count), one for each of (B,) int64 seeds; count at most 2^24."""
    return (_bits(seeds, stream) * count) >> _BITS  # a float product could round up to `count`


def _bits(seeds: Tensor, stream: int) -> Tensor:
    """(B,) int64 in [0, 2^24): the upper bits of a hash of seed and stream."""
    step = ((stream + 1) * _GOLDEN) & ((1 << 64) - 1)
    z = seeds + (step - (1 << 64) if step >= 1 << 63 else step)
    z = (z ^ _shift(z, 30)) * _FACTORS[0]
    z = (z ^ _shift(z, 27)) * _FACTORS[1]
    return _shift(z ^ _shift(z, 31), 64 - _BITS)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; torch's own repeats the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
