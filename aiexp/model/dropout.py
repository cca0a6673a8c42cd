"""Dropout whose mask costs little on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def dropout(x: Tensor, p: float, *, training: bool) -> Tensor:
    """`x` with each element zero with probability `p` and the others divided by `1 - p`.

    On a CPU `torch.nn.functional.dropout` draws one Mersenne Twister number per element and spends most
    of a small encoder's forward pass there. This draws 64 bits for four elements at once, so `p` is
    rounded to a multiple of 1/32768 (0.1 becomes 0.100006; the divisor uses the rounded value, so the
    mean is exact). The bits come from torch's global CPU generator alone, so
    its state is all that resuming needs.

    Args:
        x: Any shape, any float dtype.
        p: Probability of a zero, in [0, 1).
        training: False returns `x` itself.
    """
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p, training=True)
    return _Dropout.apply(x, keep_bits(x.shape, p), 1.0 / (1.0 - round(p * 32768) / 32768))  # pyright: ignore


def keep_bits(shape: torch.Size, p: float) -> Tensor:
    """`shape` int16 mask from the global CPU generator: -1 (all bits set) keeps an element, 0 drops it."""
    size = shape.numel()
    bits = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = bits.view(torch.int16)[:size].view(shape)
    # Fifteen uniform bits minus the threshold: the sign says "drop", an arithmetic shift spreads it.
    return bits.bitwise_and_(32767).sub_(round(p * 32768)).bitwise_right_shift_(15).bitwise_not_()


def masked(x: Tensor, keep: Tensor) -> Tensor:
    """`x` where `keep` is -1, else 0.0."""
    if x.element_size() == 2:
        return x.view(torch.int16).bitwise_and(keep).view(x.dtype)
    return x * -keep


class _Dropout(torch.autograd.Function):
    """Mask and scale; saves the int16 mask only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, scale: float) -> Tensor:  # pyright: ignore
        """Applies mask and scale."""
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return masked(x, keep).mul_(scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore
        """Applies the same mask and scale to the gradient."""
        (keep,) = ctx.saved_tensors
        return masked(grad, keep).mul_(ctx.scale), None, None
