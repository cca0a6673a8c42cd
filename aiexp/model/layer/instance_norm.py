"""Instance normalisation that is fast where images lie channels last."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_ONE_BY_ONE = 8  # images of a batch; above, calls cost more than the copy


@final
class InstanceNorm(nn.Module):
    """Each channel of each image brought to mean 0 and variance 1; no weights.

    Source: Ulyanov et al. 2016 (arXiv 1607.08022), equation 4.
    Departures: an image alone is its own batch, so the kernels of batch norm serve: for one image always,
    for a few that lie channels last one after the other. On the CPU PyTorch's `instance_norm` (2.14)
    gives one image a wrong gradient where the gradient comes channels last, and it copies images that
    lie so: 0.64 ms against 0.24 for (1, 256, 16, 16) bf16, forward and backward on one core.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W), normalised."""
        if torch.compiler.is_exporting():  # where the number of images is free
            return F.instance_norm(images)
        if len(images) == 1:
            return F.batch_norm(images, None, None, training=True)
        if len(images) > MOST_ONE_BY_ONE or not images.is_contiguous(memory_format=torch.channels_last):
            return F.instance_norm(images)
        return torch.cat([F.batch_norm(image, None, None, training=True) for image in images.split(1)])
