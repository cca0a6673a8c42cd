"""A network of a task as something to take elsewhere: a module of tensors, with examples and free sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """One network.

    Args:
        module: Called with the tensors of `inputs` in their order; returns a tensor, or a tuple of them.
        inputs: Name to what stands for the tensor: its sizes, the free ones by name (such as "batch"), and
            its dtype.
        outputs: Names of what it returns.
        text: What it is, in a line.
        adapts: Whether `Task.predict` calls it with other weights, or in `vmap`: then no other engine can
            stand in its place.
    """

    module: nn.Module
    inputs: Mapping[str, "Port"]
    outputs: tuple[str, ...] = ("output",)
    text: str = ""
    adapts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """A tensor that a network takes.

    Args:
        sizes: Of each dimension; a text is the name of a free one.
        dtype: Of the values.
        high: Integers that can be are below this; of bool and float it says nothing.
        limits: Smallest and largest size of free dimensions by name, where not any is allowed.
    """

    sizes: tuple[int | str, ...]
    dtype: torch.dtype = torch.float32
    high: int = 256
    limits: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {})

    def example(self, free: Mapping[str, int]) -> Tensor:
        """A tensor of made-up values, the free dimensions of these sizes."""
        shape = [free[size] if isinstance(size, str) else size for size in self.sizes]
        if self.dtype == torch.bool:
            return torch.ones(shape, dtype=torch.bool)
        generator = torch.Generator().manual_seed(0)
        if self.dtype.is_floating_point:
            return torch.randn(shape, generator=generator, dtype=self.dtype)
        return torch.randint(0, self.high, shape, generator=generator).to(self.dtype)


class Logits(nn.Module):
    """The `logits` of a classifier as a network of tensors.

    Args:
        task: Has `logits(batch)`.
        names: Of the tensors in its batch, in the order in which they will come.
    """

    def __init__(self, task: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.task, self.names = task, tuple(names)

    def forward(self, *tensors: Tensor) -> Tensor:
        """(B, C) float32."""
        task: Any = self.task
        return task.logits(dict(zip(self.names, tensors, strict=True)))
