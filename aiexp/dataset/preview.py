"""The first batch of a data set, to try an evaluation in a moment."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast, final

from aiexp.dataset.base import Dataset


def first_batch(dataset: Dataset) -> Dataset:
    """`dataset` with evaluation splits that end after one batch."""
    return cast(Dataset, _FirstBatch(dataset))


@final
class _FirstBatch:
    """Everything but `eval_batches` is passed on."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def eval_batches(self, split: str) -> Iterator[Any]:
        """The first batch of the split."""
        return islice(self._dataset.eval_batches(split), 1)
