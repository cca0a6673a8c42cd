"""The small network of MAML's regression, without its last layer."""

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError


@final
class SineMlp(nn.Module):
    """Dense layers with ReLU on points; the task adds the last layer.

    Source: Finn et al. 2017 (arXiv 1703.03400), section 5.1: two hidden layers of 40.
    Departures: PyTorch's initial weights, where the authors' code draws from a normal of 0.01.

    Args:
        input_size: Numbers of a point.
        hidden_sizes: Width of each layer, in order.

    Raises:
        ConfigError: no layer, or an empty one.
    """

    def __init__(self, *, input_size: int, hidden_sizes: list[int]) -> None:
        super().__init__()
        if input_size < 1:
            raise ConfigError(f"input_size is {input_size}", where="model.input_size", fix="at least 1")
        if not hidden_sizes or min(hidden_sizes) < 1:
            raise ConfigError(
                f"hidden_sizes is {hidden_sizes}", where="model.hidden_sizes",
                fix="one positive width a layer, for example model.hidden_sizes=[40,40]",
            )  # fmt: skip
        sizes = [input_size, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.feature_size = sizes[-1]

    def forward(self, points: Tensor) -> Tensor:
        """(B, feature_size) of points (B, input_size)."""
        for layer in self.layers:
            points = F.relu(layer(points))
        return points
