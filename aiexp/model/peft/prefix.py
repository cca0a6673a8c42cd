"""Keys and values of each attention that stand before those of the text, and learn."""

from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from aiexp.model.peft.base import Peft, freeze, unfit
from aiexp.ranges import PositiveFloat, PositiveInt


@runtime_checkable
class Prefixed(Protocol):
    """A network whose attentions take keys and values of their own."""

    def add_prefixes(self, make: Callable[[int, int], nn.Module]) -> None:
        """Gives each attention what is made of its number of key heads and their size."""
        ...


@final
class Prefix(Peft):
    """Prefix tuning.

    Source: Li & Liang 2021 (arXiv 2101.00190), section 4; for classifiers Liu et al. 2021 (P-tuning v2,
    arXiv 2110.07602).
    Departures: keys and values are parameters themselves, not made by a network that is thrown away.

    Args:
        length: Keys and values of each attention.
        std: Of their first values, normal around 0.

    Raises:
        ConfigError: when applied, of a network without such attentions.
    """

    def __init__(self, *, length: PositiveInt, std: PositiveFloat) -> None:
        self.length, self.std = length, std

    def apply(self, model: nn.Module) -> None:
        """Gives each attention its keys and values; they learn alone."""
        freeze(model)
        if not isinstance(model, Prefixed):
            raise unfit(model, "has no attention that takes keys and values of its own")
        model.add_prefixes(lambda num_heads, size: KeysAndValues(self.length, num_heads, size, self.std))


@final
class KeysAndValues(nn.Module):
    """Keys and values of one attention, the same for every text.

    Args:
        length: P.
        num_heads: N.
        size: D.
        std: Of their first values.
    """

    def __init__(self, length: int, num_heads: int, size: int, std: float) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.zeros(num_heads, length, size))
        self.values = nn.Parameter(torch.zeros(num_heads, length, size))
        if not self.keys.is_meta:
            nn.init.normal_(self.keys, std=std)
            nn.init.normal_(self.values, std=std)

    def forward(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Those of a text with these before them: (B, N, T, D) to (B, N, P + T, D), both."""
        before = (x.to(keys.dtype).expand(keys.shape[0], -1, -1, -1) for x in (self.keys, self.values))
        key, value = before
        return torch.cat([key, keys], 2), torch.cat([value, values], 2)
