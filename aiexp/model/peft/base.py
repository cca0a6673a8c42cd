"""What a kind of parameter-efficient fine-tuning is: it freezes a network and says what learns instead."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from aiexp.errors import ConfigError


class Peft(ABC):
    """A kind of parameter-efficient fine-tuning; a task applies it to its pretrained network.

    What it adds stands in the network under names of its own, beside the network's own, which stay: weights
    of a run without it fit a network with it, and the other way round (see `merging.py`).
    """

    @abstractmethod
    def apply(self, model: nn.Module) -> None:
        """Freezes a whole network and adds or frees what learns.

        Args:
            model: On the CPU, all its parameters made.

        Raises:
            ConfigError: the network has nothing that this could be done to.
        """


def freeze(model: nn.Module) -> None:
    """Takes all parameters of a network out of training."""
    model.requires_grad_(False)


def unfit(model: Any, what: str) -> ConfigError:
    """The error for a network that a kind cannot be applied to."""
    return ConfigError(
        f"{type(model).__name__} {what}",
        where="peft",
        fix="leave peft out, or a transformer: aiexp list model",
    )
