"""Reflection padding whose gradient is deterministic where that is asked for."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@final
class ReflectionPadding(nn.Module):
    """Images continued beyond each edge by their mirror image; the edge itself is not repeated.

    The backward of PyTorch's own padding adds with atomics on CUDA, in any order. Under
    `torch.use_deterministic_algorithms` rows and columns are therefore gathered by slices, whose
    gradient has one order.

    Args:
        size: Pixels on each side, below the height and the width.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to (B, C, H + 2 size, W + 2 size)."""
        if torch.are_deterministic_algorithms_enabled():
            return mirrored(mirrored(images, self.size, 3), self.size, 2)
        return F.pad(images, (self.size,) * 4, mode="reflect")

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.size}"


def mirrored(images: Tensor, size: int, dimension: int) -> Tensor:
    """Images with `size` mirrored rows (dimension 2) or columns (3) at both ends."""
    length = images.shape[dimension]
    before = images.narrow(dimension, 1, size).flip(dimension)
    after = images.narrow(dimension, length - 1 - size, size).flip(dimension)
    return torch.cat([before, images, after], dimension)
