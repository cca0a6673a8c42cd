"""The small network of MAML's regression, without its last layer."""

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.ranges import PositiveInt, PositiveInts


@final
class SineMlp(nn.Module):
    """Dense layers with ReLU on points; the task adds the last layer.

    Source: Finn et al. 2017 (arXiv 1703.03400), section 5.1: two hidden layers of 40.
    Departures: PyTorch's initial weights, where the authors' code draws from a normal of 0.01.

    Args:
        input_size: Numbers of a point.
        hidden_sizes: Width of each layer, in order.
    """

    def __init__(self, *, input_size: PositiveInt, hidden_sizes: PositiveInts) -> None:
        super().__init__()
        sizes = [input_size, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.feature_size = sizes[-1]

    def forward(self, points: Tensor) -> Tensor:
        """(B, feature_size) of points (B, input_size)."""
        for layer in self.layers:
            points = F.relu(layer(points))
        return points
