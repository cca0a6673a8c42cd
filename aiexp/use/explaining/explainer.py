"""The contract of what explains one kind of inputs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from aiexp.use.explaining.explanation import Part

METHODS = ("integrated_gradients", "grad_cam", "saliency", "attention")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One input and the output that is to be explained.

    Args:
        batch: The input alone, on the task's device.
        outputs: (B,) of a batch: the one that is explained.
        name: What that is: "positive".
    """

    batch: dict[str, Tensor]
    outputs: Callable[[dict[str, Tensor]], Tensor]
    name: str


class Explainer(ABC):
    """Explains inputs of a kind; has a method of its own for each of `methods`, called as it is.

    Such a method takes an `Asked` and returns a `Part`, or None where the model has nothing of the kind.
    """

    methods: ClassVar[tuple[str, ...]]

    @abstractmethod
    def notes(self, value: Any) -> list[str]:
        """What there is to know of an input; called before it is explained."""

    def part(self, method: str, asked: Asked) -> Part | None:
        """What one of `methods` says."""
        return getattr(self, method)(asked)
