"""Low-rank adaptation: beside a frozen matrix a product of two thin ones, which learns."""

import math
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.model.layer.dropout import dropout
from aiexp.model.peft.base import Peft, freeze
from aiexp.model.peft.merging import SCALE, Adapter, adapted
from aiexp.model.peft.targets import Targets, chosen_layers, is_transposed, replace
from aiexp.ranges import PositiveFloat, PositiveInt, Share


@final
class Lora(Peft):
    """Low-rank adaptation of linear layers.

    Source: Hu et al. 2021 (arXiv 2106.09685), equation 3: W x + (alpha / r) B A x, A random, B zero.
    Departures: where query, key and value are one matrix they share A, as in the authors' code for GPT-2.

    Args:
        rank: r, the width between the two thin matrices.
        alpha: Factor on their product, which is divided by `rank`.
        dropout: Probability of dropping an input of the thin matrices, [0, 1).
        target_modules: "attention": what makes queries, keys and values; "all": every linear layer but a
            language model's last; or names of layers, dotted or their ends.

    Raises:
        ConfigError: when applied, of a network without such layers.
    """

    def __init__(
        self, *, rank: PositiveInt, alpha: PositiveFloat, dropout: Share, target_modules: Targets
    ) -> None:
        self.rank, self.alpha, self.dropout = rank, alpha, dropout
        self.target_modules: Targets = target_modules

    def apply(self, model: nn.Module) -> None:
        """Puts the thin matrices on the layers; they learn alone."""
        freeze(model)
        for name, layer in chosen_layers(model, self.target_modules).items():
            replace(model, name, LoraLinear(layer, self.rank, self.alpha / self.rank, self.dropout))


@final
class LoraLinear(Adapter):
    """A linear layer in whose place this stands, and its thin matrices.

    Args:
        layer: `nn.Linear`, or one that keeps its weight transposed.
        rank: Of the product.
        scale: Factor on it.
        p: Probability of dropping an input of it, [0, 1).
    """

    def __init__(self, layer: Any, rank: int, scale: float, p: float) -> None:
        super().__init__(layer)
        self.p, self.is_transposed = p, is_transposed(layer)
        rows, columns = self.weight.shape
        # Their product has the layout of the weight.
        self.lora_left = nn.Parameter(self.weight.new_zeros(rows, rank))
        self.lora_right = nn.Parameter(self.weight.new_zeros(rank, columns))
        self.register_buffer(SCALE, self.weight.new_tensor(scale))
        if not self.weight.is_meta:
            first = self.lora_left if self.is_transposed else self.lora_right
            bound = 1 / math.sqrt(columns if not self.is_transposed else rows)
            nn.init.uniform_(first, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of x, and what is added."""
        return self.part(x, slice(None))

    def part(self, x: Tensor, rows: slice) -> Tensor:
        """Some of the outputs; see `aiexp.model.layer.projection.Projection`."""
        weight, down, up = self.weight, self.lora_right, self.lora_left
        if self.is_transposed:
            weight, down, up = weight.T, up.T, down.T
        made = F.linear(x, weight[rows], None if self.bias is None else self.bias[rows])
        thin = F.linear(dropout(x, self.p, training=self.training), down)
        scale: Any = self.lora_scale
        return made + F.linear(thin, up[rows]) * scale

    def merged_state(self) -> dict[str, Tensor]:
        """The weights of a plain layer that makes the same."""
        return adapted({name: value.detach() for name, value in self.state_dict().items()})
