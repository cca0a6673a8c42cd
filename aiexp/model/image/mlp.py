"""A plain network of dense layers on the pixels, without its last layer."""

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError


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

    Raises:
        ConfigError: no layer, an empty one, or a dropout out of range.
    """

    def __init__(self, *, channels: int, image_size: int, hidden_sizes: list[int], dropout: float) -> None:
        super().__init__()
        if not hidden_sizes or min(hidden_sizes) < 1:
            raise ConfigError(
                f"hidden_sizes is {hidden_sizes}", where="model.hidden_sizes",
                fix="one positive width a layer, for example model.hidden_sizes=[512,512]",
            )  # fmt: skip
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout is {dropout}; it must lie in [0, 1)", where="model.dropout")
        sizes = [channels * image_size**2, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout, self.feature_size = dropout, sizes[-1]

    def forward(self, images: Tensor) -> Tensor:
        """(B, feature_size) of normalised images (B, C, H, W)."""
        hidden = images.flatten(1)
        for layer in self.layers:
            hidden = F.dropout(F.relu(layer(hidden)), self.dropout, self.training)
        return hidden
