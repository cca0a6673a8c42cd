"""Labelled texts of one split, and the checks that every text data set must pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from aiexp.dataset.text.ragged import Ragged, encode
from aiexp.errors import DataError


class LabelledTexts(Protocol):
    """Texts with their classes: `Examples` in memory, or `StoredExamples`."""

    def __len__(self) -> int: ...

    @property
    def texts(self) -> Sequence[str]:
        """(N,) strings."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64, index into the class names."""
        ...

    def labels_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) int64: the classes at (B,) positions."""
        ...

    def class_counts(self, num_classes: int) -> NDArray[np.int64]:
        """(num_classes,) examples of each class."""
        ...

    def add_to(self, update: Callable[[bytes], None]) -> None:
        """Updates a digest by what changes with any text, label or their order."""
        ...

    def tokens(self, tokenizer: Tokenizer, max_tokens: int) -> Ragged:
        """The texts as token numbers, each cut to `max_tokens`; the tokenizer is left as it was."""
        ...


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

    def labels_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) int64: the classes at (B,) positions."""
        return self.labels[positions]

    def class_counts(self, num_classes: int) -> NDArray[np.int64]:
        """(num_classes,) examples of each class."""
        return np.bincount(self.labels, minlength=num_classes).astype(np.int64)

    def add_to(self, update: Callable[[bytes], None]) -> None:
        """Updates a digest by texts and labels in order."""
        for text in self.texts:
            data = text.encode("utf-8", "surrogatepass")
            update(len(data).to_bytes(8, "little") + data)
        update(self.labels.astype("<i8").tobytes())

    def tokens(self, tokenizer: Tokenizer, max_tokens: int) -> Ragged:
        """The texts as token numbers, each cut to `max_tokens`; the tokenizer is left as it was."""
        return encode(tokenizer, self.texts, max_tokens)


NO_EXAMPLES = Examples(texts=[], labels=np.zeros(0, np.int64))


def check_splits(splits: Mapping[str, LabelledTexts], class_names: Sequence[str], where: str) -> None:
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
        if isinstance(examples, Examples):  # those in files were numbered by us
            _check_labels(examples.labels, split, len(class_names), where)
    train = splits["train"]
    if not len(train):
        raise DataError("the training split is empty", where=where)
    if len(train) < len(class_names):
        raise DataError(
            f"{len(train)} training examples are fewer than the {len(class_names)} classes", where=where
        )
    present = np.flatnonzero(train.class_counts(len(class_names)))
    if len(present) < 2:
        raise DataError(
            f"only one class in the training split: '{class_names[int(present[0])]}'",
            where=where,
            fix="give examples of at least two classes",
        )
    for split, examples in splits.items():
        if len(examples) and not any(text.strip() for text in examples.texts):
            raise DataError(f"every text of split {split} is empty", where=where, fix="check the text column")


def _check_labels(labels: NDArray[np.int64], split: str, num_classes: int, where: str) -> None:
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if outside.size:
        raise DataError(
            f"label {outside[0]} of split {split} is out of range: there are {num_classes} classes",
            where=where,
            fix="labels count from 0; check dataset.class_names",
        )
