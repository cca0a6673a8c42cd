"""The first batch of a data set, to try an evaluation in a moment."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, final

from aiexp.dataset.base import Dataset


@final
class FirstBatch:
    """A data set whose evaluation splits end after one batch; everything else is passed on."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def eval_batches(self, split: str) -> Iterator[Any]:
        """The first batch of the split."""
        return islice(self._dataset.eval_batches(split), 1)
