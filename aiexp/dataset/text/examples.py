"""Labelled texts of one split, and the checks that every text data set must pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Texts with their classes.

    Args:
        texts: (N,) strings.
        labels: (N,) int64, index into the class names.
    """

    texts: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, rows: Sequence[int] | NDArray[np.int64]) -> "Examples":
        """The examples in these rows, in this order."""
        rows = np.asarray(rows, np.int64)
        return Examples(texts=[self.texts[i] for i in rows], labels=self.labels[rows])


NO_EXAMPLES = Examples(texts=[], labels=np.zeros(0, np.int64))


def check_splits(splits: dict[str, Examples], class_names: Sequence[str], where: str) -> None:
    """Stops data that nothing can be learned from.

    Args:
        splits: Examples by split name.
        class_names: Name of each class.
        where: File or data set, for the message.

    Raises:
        DataError: two classes of one name, a label without class, an empty split, one class only, no text.
    """
    if len(set(class_names)) < len(class_names):
        raise DataError(f"two classes have the same name: {', '.join(class_names)}", where=where)
    for split, examples in splits.items():
        outside = examples.labels[(examples.labels < 0) | (examples.labels >= len(class_names))]
        if outside.size:
            raise DataError(
                f"label {outside[0]} of split {split} is out of range: there are {len(class_names)} classes",
                where=where,
                fix="labels count from 0; check dataset.class_names",
            )
    train = splits["train"]
    if not len(train):
        raise DataError("the training split is empty", where=where)
    if len(train) < len(class_names):
        raise DataError(
            f"{len(train)} training examples are fewer than the {len(class_names)} classes", where=where
        )
    present = np.unique(train.labels)
    if len(present) < 2:
        raise DataError(
            f"only one class in the training split: '{class_names[int(present[0])]}'",
            where=where,
            fix="give examples of at least two classes",
        )
    for split, examples in splits.items():
        if len(examples) and not any(text.strip() for text in examples.texts):
            raise DataError(f"every text of split {split} is empty", where=where, fix="check the text column")
