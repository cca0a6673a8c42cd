"""Dropout whose mask costs little on a CPU.

`torch.nn.functional.dropout` draws one Mersenne Twister number per element there, and a small encoder
spends a quarter of its step on it. Here a 64-bit number makes the mask of four elements, so `p` is rounded
to a multiple of 1/32768 (0.1 becomes 0.100006; the divisor uses the rounded value: the mean is exact).
Masks follow from torch's global CPU generator alone, so its state is all that exact resuming needs.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LEVELS = 32768  # of probability: fifteen bits


def dropout(x: Tensor, p: float, *, training: bool) -> Tensor:
    """`x` with each element zero with probability `p` and the others divided by `1 - p`.

    Args:
        x: Any shape, any float dtype.
        p: Probability of a zero, in [0, 1).
        training: False returns `x` itself.
    """
    if not training or p == 0.0:
        return x
    if not is_eager_cpu(x):
        return F.dropout(x, p, training=True)
    return _DropoutAdd.apply(x, None, p)  # pyright: ignore[reportReturnType]


def dropout_add(x: Tensor, residual: Tensor, p: float, *, training: bool) -> Tensor:
    """`residual + dropout(x, p)`, in one pass less."""
    if not training or p == 0.0:
        return residual + x
    if not is_eager_cpu(x):
        return residual + F.dropout(x, p, training=True)
    return _DropoutAdd.apply(x, residual, p)  # pyright: ignore[reportReturnType]


def is_eager_cpu(x: Tensor) -> bool:
    """Whether hand-made CPU kernels apply: not on a GPU, not inside torch.compile, not on the meta device."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """int16 mask of `shape`: -1 (all bits set) keeps an element, 0 drops it with probability `p`."""
    size = shape.numel()
    seed = int(torch.randint(2**63 - 1, ()))
    numbers = np.random.SFC64(seed).random_raw((size + 3) // 4).view(np.int16)
    bits = torch.from_numpy(numbers)[:size].view(shape)
    # Fifteen uniform bits minus the threshold: the sign says "drop", an arithmetic shift spreads it.
    return bits.bitwise_and_(LEVELS - 1).sub_(round(p * LEVELS)).bitwise_right_shift_(15).bitwise_not_()


def keep_scale(p: float) -> float:
    """What kept elements are multiplied with."""
    return LEVELS / (LEVELS - round(p * LEVELS))


def masked(x: Tensor, keep: Tensor) -> Tensor:
    """A new tensor: `x` where `keep` is -1, else 0."""
    if x.element_size() == 2:
        return x.view(torch.int16).bitwise_and(keep).view(x.dtype)
    return x * -keep


class _DropoutAdd(torch.autograd.Function):
    """Mask, scale and optional sum; saves the int16 mask only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor | None, p: float) -> Tensor:  # pyright: ignore
        """`x` masked and scaled, plus `residual` if there is one."""
        keep = keep_mask(x.shape, p)
        ctx.save_for_backward(keep)
        ctx.scale, ctx.dtype = keep_scale(p), x.dtype
        ctx.residual_dtype = None if residual is None else residual.dtype
        kept = masked(x, keep)
        return kept.mul_(ctx.scale) if residual is None else torch.add(residual, kept, alpha=ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        """The same mask and scale for the gradient."""
        (keep,) = ctx.saved_tensors
        residual_grad = None if ctx.residual_dtype is None else grad.to(ctx.residual_dtype)
        return masked(grad.to(ctx.dtype).contiguous(), keep).mul_(ctx.scale), residual_grad, None
