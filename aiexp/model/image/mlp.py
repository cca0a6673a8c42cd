"""A plain network of dense layers on the pixels, without its last layer."""

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.ranges import PositiveInts, Share


@final
class Mlp(nn.Module):
    """Dense layers with ReLU and dropout on flattened images; the task adds the last layer.

    Source: the plain baseline of LeCun et al. 1998 (Gradient-based learning, section III.C).
    Departures: ReLU and dropout.

    Args:
        channels: Of the images.
        image_size: Height and width of the images in pixels.
        hidden_sizes: Width of each layer, in order.
        dropout: Probability of dropping a hidden unit, [0, 1).
    """

    def __init__(self, *, channels: int, image_size: int, hidden_sizes: PositiveInts, dropout: Share) -> None:
        super().__init__()
        sizes = [channels * image_size**2, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout, self.feature_size = dropout, sizes[-1]

    def forward(self, images: Tensor) -> Tensor:
        """(B, feature_size) of normalised images (B, C, H, W)."""
        hidden = images.flatten(1)
        for layer in self.layers:
            hidden = F.dropout(F.relu(layer(hidden)), self.dropout, self.training)
        return hidden
