"""A plain network of dense layers on vectors, without its last layer."""

from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.ranges import PositiveInts, Share


@final
class VectorMlp(nn.Module):
    """Dense layers with ReLU and dropout on flattened examples; the task adds the last layer.

    Source: Rumelhart, Hinton and Williams 1986 (doi 10.1038/323533a0).
    Departures: ReLU and dropout.

    Args:
        hidden_sizes: Width of each layer, in order.
        dropout: Probability of dropping a hidden unit, [0, 1).
    """

    def __init__(self, *, hidden_sizes: PositiveInts, dropout: Share) -> None:
        super().__init__()
        self.hidden_sizes, self.dropout, self.feature_size = hidden_sizes, dropout, hidden_sizes[-1]
        self.layers = nn.ModuleList()

    def set_input_size(self, input_size: int) -> None:
        """Makes the layers, once the task knows how many numbers an example of the data set has."""
        sizes = [input_size, *self.hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, feature_size) of (B, ...) float32."""
        hidden = x.flatten(1)
        for layer in self.layers:
            hidden = F.dropout(F.relu(layer(hidden)), self.dropout, self.training)
        return hidden
