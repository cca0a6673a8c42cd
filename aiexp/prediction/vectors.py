"""Examples of numbers as inputs: lists, rows of tables, lines of numbers."""

import json
import math
from collections.abc import Sequence
from typing import Any, ClassVar, cast, final

import numpy as np
import torch
from numpy.typing import NDArray

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, refused
from aiexp.prediction.network import Port


@final
class Vectors(Inputs):
    """Arrays of one shape: (nested) lists of numbers, arrays, or text with numbers between commas or spaces.

    Args:
        shape: Of an example.
        names: Of the numbers of a flat example, which are columns of tables; empty for none.
    """

    noun = "an example"
    example = "FILE.csv"
    is_word = True
    schema: ClassVar[Json] = {"type": "array", "description": "an example as (nested) lists of numbers"}

    def __init__(self, shape: Sequence[int], names: Sequence[str] = ()) -> None:
        self.shape = tuple(shape)
        self.columns: Sequence[str] = tuple(names) if self.shape == (len(names),) else ()

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """(...) float32 of each example."""
        return [self._read(value) for value in values]

    def collate(self, examples: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
        """A batch with x (B, ...) float32."""
        return {"x": torch.from_numpy(np.stack(examples))}

    def ports(self) -> dict[str, Port]:
        """Of any number of examples."""
        return {"x": Port(sizes=("batch", *self.shape))}

    def _read(self, value: Any) -> NDArray[np.float32] | DataError:
        """One example, or why it is none."""
        try:
            numbers = _numbers(value)
        except (TypeError, ValueError, RecursionError):
            is_list = isinstance(value, str | list | tuple)
            return DataError("this is no list of numbers") if is_list else refused(self.noun, value)
        if numbers.shape != self.shape and numbers.size == math.prod(self.shape) and numbers.ndim == 1:
            numbers = numbers.reshape(self.shape)
        if numbers.shape != self.shape:
            wanted, got = ("x".join(map(str, shape)) or "1" for shape in (self.shape, numbers.shape))
            return DataError(f"an example has {wanted} numbers here, not {got}")
        if not np.isfinite(numbers).all():
            return DataError("the example has a number that is not finite")
        return numbers.astype(np.float32)


def _numbers(value: Any) -> NDArray[np.float64]:
    """The numbers of a value.

    Raises:
        TypeError: it is of another kind.
        ValueError: it holds something else.
    """
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.replace(",", " ").split()
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if not isinstance(value, list | tuple | np.ndarray) or not len(cast(list[Any], value)):
        raise TypeError
    return np.asarray(cast(Any, value), np.float64)
