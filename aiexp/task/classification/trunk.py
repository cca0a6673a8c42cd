"""How the trunk of a classifier starts and learns: whitening, freezing, its share of the learning rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from aiexp.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat


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
        groups = [*self._groups(trunk.parameters(), self.lr_scale), *self._groups(head.parameters(), 1.0)]
        return [group for group in groups if group["params"]]

    def _groups(self, parameters: Iterable[nn.Parameter], scale: float) -> list[dict[str, Any]]:
        members = [p for p in parameters if p.requires_grad]
        return [
            {"params": [p for p in members if p.ndim >= 2], "lr_scale": scale},
            {
                "params": [p for p in members if p.ndim < 2],
                "lr_scale": scale * self.bias_lr_scale,
                "weight_decay": 0.0,
            },
        ]


def stages(module: nn.Module) -> list[nn.Module]:
    """The modules with parameters that a network is made of, one level down; plain sequences are opened."""
    found: list[nn.Module] = []
    for child in module.children():
        if type(child) is nn.Sequential:
            found += stages(child)
        elif next(child.parameters(), None) is not None:
            found.append(child)
    return stages(found[0]) or found if len(found) == 1 else found
