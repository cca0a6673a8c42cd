"""Vectors that stand beside those of a text's tokens, and learn."""

from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.model.peft.base import Peft, freeze, unfit
from aiexp.ranges import PositiveInt


@runtime_checkable
class Prompted(Protocol):
    """A network that takes vectors beside those of its tokens."""

    max_tokens: int | None

    def add_prompt(self, make: Callable[[nn.Embedding], nn.Module]) -> None:
        """Gives it what is made of the vectors of its tokens."""
        ...


@final
class Prompt(Peft):
    """Prompt tuning.

    Source: Lester et al. 2021 (arXiv 2104.08691), section 2; first values from the vocabulary (section 3.2).
    Departures: in our own networks the vectors have no positions, so they cost none of the longest text.

    Args:
        length: Vectors.

    Raises:
        ConfigError: when applied, of a network that takes none, or so many that no token has a place.
    """

    def __init__(self, *, length: PositiveInt) -> None:
        self.length = length

    def apply(self, model: nn.Module) -> None:
        """Gives the network its vectors; they learn alone."""
        freeze(model)
        if not isinstance(model, Prompted):
            raise unfit(model, "takes no vectors beside those of its tokens")
        model.add_prompt(lambda tokens: Vectors(self.length, tokens))
        if model.max_tokens is not None and model.max_tokens < 1:
            raise ConfigError(
                f"{self.length} vectors leave {type(model).__name__} no place for a text",
                where="Prompt.length", fix=f"at most Prompt.length={self.length + model.max_tokens - 1}",
            )  # fmt: skip


@final
class Vectors(nn.Module):
    """The same vectors for every text.

    Args:
        length: P.
        tokens: Vectors of tokens, (V, H), of which some are the first values.
    """

    def __init__(self, length: int, tokens: nn.Embedding) -> None:
        super().__init__()
        weight = tokens.weight.detach()
        rows = torch.randint(len(weight), (length,)) if not weight.is_meta else torch.arange(length)
        self.vectors = nn.Parameter(weight[rows].clone())

    def __len__(self) -> int:
        """P."""
        return len(self.vectors)

    def before(self, hidden: Tensor) -> Tensor:
        """(B, T, H) to (B, P + T, H)."""
        return torch.cat([self(hidden), hidden], 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, P, H) for a batch (B, T, H)."""
        return self.vectors.to(hidden.dtype).expand(hidden.shape[0], -1, -1)
