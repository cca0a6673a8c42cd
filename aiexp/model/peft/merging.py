"""Adapters computed into the weights beside them: of networks, and of weights by their names alone.

What an adapter of a layer `X` learns is kept as `X.lora_left` and `X.lora_right` with the buffer
`X.lora_scale`, or as `X.ia3_output` and `X.ia3_input`; the layer's own `X.weight` and `X.bias` stay as they
were. So weights of a checkpoint say all that is needed, and no config is asked.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aiexp.model.peft.targets import replace

LEFT, RIGHT, SCALE = "lora_left", "lora_right", "lora_scale"
# Factors on what a layer takes or makes: along which dimension of its weight, and whether on its bias too.
FACTORS = {
    "ia3_output": (0, True),
    "ia3_input": (1, False),
    "ia3_output_transposed": (1, True),
    "ia3_input_transposed": (0, False),
}
MERGED = (LEFT, RIGHT, SCALE, *FACTORS)
# Parts of names of what is no part of any weight: keys, values and vectors of their own.
BESIDE = ("prefix", "prompt")


class Adapter(nn.Module):
    """A layer in whose place it stands, under the same names, and what learns beside it.

    Args:
        layer: Has `weight`, and `bias` or None.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._layer = (layer,)  # no module of its own: names stay

    @abstractmethod
    def merged_state(self) -> dict[str, Tensor]:
        """The weights of a plain layer that makes the same."""

    def merged(self) -> nn.Module:
        """That layer."""
        (layer,) = self._layer
        for name, value in self.merged_state().items():
            setattr(layer, name, nn.Parameter(value, requires_grad=False))
        return layer


def merge(network: nn.Module) -> int:
    """Puts plain layers in the place of all that have adapters; returns how many.

    Args:
        network: Changed in place; makes the same up to rounding.
    """
    found = {name: module for name, module in network.named_modules() if isinstance(module, Adapter)}
    for name, module in found.items():
        replace(network, name, module.merged().train(module.training))
    return len(found)


def adapted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weight and bias of one layer with its adapter computed in.

    Args:
        state: Of the layer, by names without dots.
    """
    made = {name: value for name, value in state.items() if name not in MERGED}
    weight = made["weight"]
    if LEFT in state:
        product = state[LEFT].double() @ state[RIGHT].double() * state[SCALE].double()
        weight = (weight.double() + product).to(weight.dtype)
    for name, (dimension, is_output) in FACTORS.items():
        if name in state:
            weight = weight * state[name].unsqueeze(1 - dimension)
            if is_output and "bias" in made:
                made["bias"] = made["bias"] * state[name]
    return made | {"weight": weight}


@torch.no_grad()
def merged_weights(
    weights: Mapping[str, Tensor], keep: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Weights by their dotted names, with their adapters computed in.

    Args:
        weights: Of a whole network.
        keep: Weights of a network that has adapters itself: those that are the same as its, by name and
            shape, stay as they are.
    """
    keep = keep or {}
    layers = dict.fromkeys(name.rpartition(".")[0] for name in weights if _is_of_adapter(name))
    made = dict(weights)
    for layer in layers:
        own = {n.rpartition(".")[2]: n for n in weights if n.rpartition(".")[0] == layer}
        if all(n in keep and keep[n].shape == weights[n].shape for n in own.values()):
            continue
        merged = adapted({last: weights[n] for last, n in own.items()})
        for last, n in own.items():
            del made[n]
            if last in merged:
                made[n] = merged[last]
    return made


def is_added(name: str) -> bool:
    """Whether a weight of this dotted name is one that fine-tuning has put into a network.

    Its network makes the same without it, or begins anew with it.
    """
    return _is_of_adapter(name) or any(part in BESIDE for part in name.split("."))


def _is_of_adapter(name: str) -> bool:
    return name.rpartition(".")[2] in MERGED
