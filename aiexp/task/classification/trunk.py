"""How the trunk of a classifier starts and learns: whitening, freezing, its share of the learning rate."""

from dataclasses import dataclass
from typing import Any, final

from torch import nn

from aiexp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat
from aiexp.task.network_parts import grouped


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Trunk:
    """Settings of everything below the head.

    Args:
        whitening_examples: Training images from which the model's first layer is set to whiten patches; 0
            does not, and only models with a method `whiten` can.
        frozen_epochs: Passes over the training split during which only the head learns; the trunk then runs
            in evaluation mode, so that its batch norms keep their statistics.
        lr_scale: Factor on the learning rate of the trunk; the head has 1.
        bias_lr_scale: Further factor for vectors (biases, norms), of trunk and head.
    """

    whitening_examples: NonNegativeInt
    frozen_epochs: NonNegativeFloat
    lr_scale: PositiveFloat
    bias_lr_scale: PositiveFloat

    def parameter_groups(self, trunk: nn.Module, head: nn.Module) -> list[dict[str, Any]]:
        """Groups for an optimizer: matrices and filters decay, vectors (biases, norms) do not."""
        groups: list[dict[str, Any]] = []
        for module, scale in ((trunk, self.lr_scale), (head, 1.0)):
            vectors = {"lr_scale": scale * self.bias_lr_scale}
            groups += grouped(module.parameters(), {"lr_scale": scale}, vectors)
        return groups
