"""What an agent is asked: seeds of episodes to play, or observations to act on."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, cast, final

import numpy as np
import torch
from numpy.typing import NDArray

from aiexp.errors import DataError
from aiexp.prediction.inputs import Json
from aiexp.prediction.network import Port
from aiexp.prediction.seeds import LARGEST_SEED, Seeds, read_seed

# Letters: B batch, S stacked frames; "..." one observation.


@final
class Observations(Seeds):
    """Seeds of whole episodes, and single observations as lists of numbers; they may be mixed.

    Args:
        shape: (S, ...) of an observation; with one frame it may be left out.
        dtype: Of its numbers.
    """

    noun = "an observation"
    example = "--seed 0"
    schema: ClassVar[Json] = {
        "anyOf": [{"type": "integer", "minimum": 0, "maximum": LARGEST_SEED}, {"type": "array"}],
        "description": "the seed of an episode to play, or an observation as (nested) lists of numbers",
    }

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(count=1)
        self.shape, self.dtype = shape, np.dtype(dtype)

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """Whole numbers for seeds, arrays (S, ...) for observations."""
        return [self._read(value) for value in values]

    def collate(self, examples: Sequence[Any]) -> dict[str, Any]:
        """Observations (B, S, ...), 0 where there is a seed, and seeds, None where there is none."""
        observations = np.zeros((len(examples), *self.shape), self.dtype)
        for row, example in enumerate(examples):
            if not isinstance(example, int):
                observations[row] = example
        seeds = [example if isinstance(example, int) else None for example in examples]
        return {"observations": torch.from_numpy(observations), "seeds": seeds}

    def ports(self) -> dict[str, Port]:
        """Of any number of observations."""
        dtype = torch.from_numpy(np.zeros(0, self.dtype)).dtype
        return {"observations": Port(sizes=("batch", *self.shape), dtype=dtype)}

    def _read(self, value: Any) -> int | NDArray[Any] | DataError:
        """A seed, an observation, or why it is neither."""
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return DataError("this is no list of numbers")
        if not isinstance(value, list | tuple | np.ndarray):
            return read_seed(cast(Any, value))
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            return DataError("this is no list of numbers")
        if numbers.shape == self.shape[1:] and self.shape[0] == 1:
            numbers = numbers[None]
        if numbers.shape != self.shape or not np.isfinite(numbers).all():
            wanted = self.shape[1:] if self.shape[0] == 1 else self.shape
            return DataError(
                f"an observation has {'x'.join(map(str, wanted)) or '1'} finite numbers, not "
                f"{'x'.join(map(str, numbers.shape)) or '1'}"
                if numbers.shape != self.shape
                else "an observation has a number that is not finite"
            )
        if self.dtype.kind in "ui" and not (numbers == numbers.astype(self.dtype)).all():
            return DataError(f"the numbers of an observation are {self.dtype} here")
        return numbers.astype(self.dtype)
