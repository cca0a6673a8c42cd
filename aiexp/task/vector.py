"""What tasks on arrays of numbers share: fitting a trunk and a scale to a data set."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor

from aiexp.dataset.base import Dataset, VectorData
from aiexp.errors import ConfigError


class VectorTrunk(Protocol):
    """What tasks on arrays need of a model: an `nn.Module` with these members.

    One with `set_input_size(input_size)` is told how many numbers an example has before it is used.
    """

    feature_size: int

    def __call__(self, x: Tensor) -> Tensor:
        """One vector (B, F) for each of (B, ...) float32 examples."""
        ...


def check_vectors(dataset: VectorData) -> None:
    """Raises `ConfigError` unless batches hold `x`."""
    if not dataset.feature_shape:
        raise ConfigError(
            f"batches of this {type(dataset).__name__} have no `x` of several numbers",
            where="dataset", fix="an array called x, (N, ...)",
        )  # fmt: skip


def size_trunk(model: Any, shape: Sequence[int]) -> None:
    """Tells a trunk that makes its layers for any size how many numbers an example has."""
    set_input_size = getattr(model, "set_input_size", None)
    if set_input_size is not None:
        set_input_size(math.prod(shape))


def fitted(dataset: Dataset, name: str) -> Iterator[Tensor]:
    """One array of every training example, a batch at a time."""
    return (batch[name] for batch in dataset.eval_batches("train"))
