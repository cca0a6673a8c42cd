"""Factors on keys, values and hidden units, which learn; all weights stay."""

from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.model.peft.base import Peft, freeze, unfit
from aiexp.model.peft.merging import Adapter, adapted
from aiexp.model.peft.targets import is_transposed, matching_layers, replace

# How networks call what makes keys and values, and the second layer of a feed-forward block.
KEYS_AND_VALUES = (
    "query_key_value|key|value|k_proj|v_proj|qkv_proj|c_attn|Wqkv|k_lin|v_lin|key_proj|value_proj"
)
FEED_FORWARD = r"(?:layers?|blocks|h)\.\d+\.output(?:\.dense)?|mlp\.c_proj|down_proj|dense_4h_to_h|fc2|lin2"


@final
class Ia3(Peft):
    """Infused adapter by inhibiting and amplifying inner activations.

    Source: Liu et al. 2022 (arXiv 2205.05638), section 3.3: factors, 1 at first, on keys, on values, and on
    what the second layer of each feed-forward block takes.
    Departures: where query, key and value are one matrix, queries have factors too.

    Raises:
        ConfigError: when applied, of a network without attention.
    """

    def apply(self, model: nn.Module) -> None:
        """Puts the factors on the layers; they learn alone."""
        freeze(model)
        outputs, inputs = matching_layers(model, KEYS_AND_VALUES), matching_layers(model, FEED_FORWARD)
        if not outputs:
            raise unfit(model, "has no attention whose keys and values could have factors")
        for name, layer in outputs.items():
            replace(model, name, Ia3Linear(layer, is_output=True))
        for name, layer in inputs.items():
            replace(model, name, Ia3Linear(layer, is_output=False))


@final
class Ia3Linear(Adapter):
    """A linear layer in whose place this stands, and factors on what it makes or takes.

    Args:
        layer: `nn.Linear`, or one that keeps its weight transposed.
        is_output: Whether they are on what it makes.
    """

    def __init__(self, layer: Any, *, is_output: bool) -> None:
        super().__init__(layer)
        self.is_output, self.is_transposed = is_output, is_transposed(layer)
        size = self.weight.shape[int(is_output == self.is_transposed)]
        self.name = f"ia3_{'output' if is_output else 'input'}{'_transposed' if self.is_transposed else ''}"
        self.register_parameter(self.name, nn.Parameter(self.weight.new_ones(size)))

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of x, by the factors."""
        return self.part(x, slice(None))

    def part(self, x: Tensor, rows: slice) -> Tensor:
        """Some of the outputs; see `aiexp.model.layer.projection.Projection`."""
        factors: Tensor = getattr(self, self.name)
        weight = self.weight.T if self.is_transposed else self.weight
        x = x if self.is_output else x * factors.to(x.dtype)
        made = F.linear(x, weight[rows], None if self.bias is None else self.bias[rows])
        return made * factors[rows].to(made.dtype) if self.is_output else made

    def merged_state(self) -> dict[str, Tensor]:
        """The weights of a plain layer that makes the same."""
        return adapted({name: value.detach() for name, value in self.state_dict().items()})
