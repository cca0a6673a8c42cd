"""Networks that estimate the value of each action: dense ones for numbers, convolutional ones for pixels."""

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt, PositiveInts

# Tensor letters: B batch, S stacked frames, A actions, H height, W width, C channels; "..." one observation.
#
# The contract with a task: `build(observation_shape, num_actions)` makes the layers, once, since only the
# environment knows these sizes; the call maps (B, S, ...) observations, uint8 or float32, to (B, A) values.


@final
class QMlp(nn.Module):
    """Dense layers with ReLU on all numbers of the observations.

    Source: the size of RL-Zoo's networks for classic control; dueling: Wang et al. 2015 (arXiv 1511.06581),
    equation 9.

    Args:
        hidden_sizes: Width of each layer, in order.
        dueling: Estimate the value of the state and the advantages of the actions apart.
    """

    def __init__(self, *, hidden_sizes: PositiveInts, dueling: bool) -> None:
        super().__init__()
        self.hidden_sizes, self.dueling = list(hidden_sizes), dueling
        self.layers = nn.ModuleList()

    def build(self, observation_shape: tuple[int, ...], num_actions: int) -> None:
        """Makes the layers.

        Args:
            observation_shape: (S, ...).
            num_actions: A.
        """
        inputs = 1
        for size in observation_shape:
            inputs *= size
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([inputs, *self.hidden_sizes]))
        self.layers.append(Head(self.hidden_sizes[-1], num_actions, self.dueling))

    def forward(self, observations: Tensor) -> Tensor:
        """(B, A) values of (B, S, ...) observations; pixels are scaled to [0, 1]."""
        hidden = as_floats(observations).flatten(1)
        *layers, head = self.layers
        for layer in layers:
            hidden = F.relu(layer(hidden))
        return head(hidden)


@final
class QCnn(nn.Module):
    """The convolutional network of DQN: 32 filters of 8x8, 64 of 4x4, 64 of 3x3, then dense layers.

    Source: Mnih et al. 2015 (doi 10.1038/nature14236), methods, "Model architecture"; dueling: Wang et al.
    2015 (arXiv 1511.06581).
    Departures: any size of at least 36 pixels; PyTorch's initial weights.

    Args:
        hidden_size: Width of the dense layer.
        dueling: Estimate the value of the state and the advantages of the actions apart.
    """

    def __init__(self, *, hidden_size: PositiveInt, dueling: bool) -> None:
        super().__init__()
        self.hidden_size, self.dueling = hidden_size, dueling
        self.layers = nn.Sequential()

    def build(self, observation_shape: tuple[int, ...], num_actions: int) -> None:
        """Makes the layers.

        Args:
            observation_shape: (S, H, W) or (S, H, W, C).
            num_actions: A.

        Raises:
            ConfigError: the observations are no pictures, or too small.
        """
        if len(observation_shape) not in (3, 4) or min(observation_shape[1:3]) < 36:
            shape = "x".join(str(size) for size in observation_shape[1:])
            raise ConfigError(
                f"observations of {shape} are no pictures of at least 36x36 pixels", where="model",
                fix="model=q_mlp",
            )  # fmt: skip
        channels = observation_shape[0] * (observation_shape[3] if len(observation_shape) == 4 else 1)
        sides = [((((side - 8) // 4 + 1) - 4) // 2 + 1) - 2 for side in observation_shape[1:3]]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 8, 4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * sides[0] * sides[1], self.hidden_size),
            nn.ReLU(),
            Head(self.hidden_size, num_actions, self.dueling),
        )

    def forward(self, observations: Tensor) -> Tensor:
        """(B, A) values of (B, S, H, W) or (B, S, H, W, C) observations; pixels are scaled to [0, 1]."""
        images = as_floats(observations)
        if images.ndim == 5:
            images = images.permute(0, 1, 4, 2, 3).flatten(1, 2)  # (B, S * C, H, W)
        return self.layers(images)


@final
class Head(nn.Module):
    """The last layer: values of actions from features.

    Args:
        feature_size: Width of the features.
        num_actions: A.
        dueling: See `QMlp`.
    """

    def __init__(self, feature_size: int, num_actions: int, dueling: bool) -> None:
        super().__init__()
        self.actions = nn.Linear(feature_size, num_actions)
        self.state = nn.Linear(feature_size, 1) if dueling else None

    def forward(self, features: Tensor) -> Tensor:
        """(B, A) values of (B, F) features."""
        values = self.actions(features)
        if self.state is None:
            return values
        return self.state(features) + values - values.mean(1, keepdim=True)


def as_floats(observations: Tensor) -> Tensor:
    """Float32: pixels scaled to [0, 1], other numbers as they are."""
    return observations.float() / 255 if observations.dtype == torch.uint8 else observations.float()
