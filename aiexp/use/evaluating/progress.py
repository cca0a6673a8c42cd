"""Examples of a split, counted as its batches are done."""

from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor

from aiexp.use.progress import Progress


def counted(dataset: Any, split: str, progress: Progress) -> Iterator[Any]:
    """The batches of a split; who asks for the next one has done the last."""
    count, total = 0, dataset.num_examples(split)
    for batch in dataset.eval_batches(split):
        yield batch
        count += size_of(batch)
        progress(split, count, total)


def size_of(batch: Any) -> int:
    """How many examples there are in a batch: the length of its first tensor; 1 of any other."""
    values: list[Any] = list(cast(dict[str, Any], batch).values()) if isinstance(batch, dict) else [batch]
    return next((len(value) for value in values if isinstance(value, Tensor) and value.ndim), 1)
