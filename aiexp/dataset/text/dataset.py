"""A text-classification data set: labelled texts in splits, batched by length."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.dataset.subset import few_of_each
from aiexp.dataset.text.buckets import EpochBatches
from aiexp.dataset.text.examples import NO_EXAMPLES, Examples, LabelledTexts, check_splits
from aiexp.dataset.text.ragged import Ragged
from aiexp.dataset.text.split import limited, split_as_needed
from aiexp.dataset.text.stored import RowSource, StoredExamples, stored_examples
from aiexp.errors import DataError
from aiexp.ranges import NonNegativeInt, PositiveInt, Range, Share


class TextBatching(Batching):
    """Arguments that data sets of texts share.

    Args:
        max_tokens: Longer texts are cut to this many tokens, special tokens included: one on each side of at
            least one token of text.
        pad_multiple: Batches are padded to a multiple of this many tokens.
        limit: At most so many examples of each split, None for all.
        shots: Training examples of each class, drawn by `seed`; None for all.
        num_workers: Processes that make batches; 0 makes them in the training process.
    """

    max_tokens: Annotated[int, Range(">= 3")]
    pad_multiple: PositiveInt
    limit: Annotated[int, Range(">= 2")] | None
    shots: PositiveInt | None
    num_workers: NonNegativeInt


class DividedBatching(TextBatching):
    """Arguments of texts that may have to be divided.

    Args:
        eval_fraction: Share of each class to split off for validation when that is not given.
        test_fraction: Share of each class to split off for the test when that is not given.
    """

    eval_fraction: Share
    test_fraction: Share


@final
class TextDataset:
    """Labelled texts, tokenized once, in batches padded to their own longest text.

    A batch is a dict (B examples, T tokens):
        input_ids: (B, T) int64.
        attention_mask: (B, T) bool, True on tokens, False on padding.
        labels: (B,) int64.
        index: (B,) int64, position of each example in its split.

    Args:
        splits: Examples of "train" and, where they exist, "eval" and "test".
        class_names: Name of each class; a label is an index into it.
        source: File or data set, for messages.
        column: The cells of a column of the table that stored examples were read from, by row.
        batching: See `TextBatching`.

    Raises:
        DataError: the examples cannot be used.
    """

    def __init__(
        self,
        *,
        splits: Mapping[str, LabelledTexts],
        class_names: list[str],
        source: str,
        column: Callable[[str], Sequence[Any]] | None = None,
        **batching: Unpack[TextBatching],
    ) -> None:
        self._column = column
        self._splits = {name: _limited(splits.get(name, NO_EXAMPLES), batching["limit"]) for name in SPLITS}
        if (shots := batching["shots"]) is not None:
            self._splits["train"] = few(self._splits["train"], shots, batching["seed"])
        check_splits(self._splits, class_names, source)
        self.class_names = list(class_names)
        self.num_classes = len(class_names)
        self.batch_size = batching["batch_size"]
        self.eval_batch_size = batching["eval_batch_size"]
        self.max_tokens = batching["max_tokens"]
        self._pad_multiple = batching["pad_multiple"]
        self._seed = batching["seed"]
        self._num_workers = batching["num_workers"]
        self._tokens: dict[str, Ragged] = {}

    def num_examples(self, split: str) -> int:
        """Examples in `split`; 0 when the split does not exist."""
        return len(self._examples(split))

    def texts(self, split: str) -> Sequence[str]:
        """The texts of `split`, in the order of `index`."""
        return self._examples(split).texts

    def labels(self, split: str) -> NDArray[np.int64]:
        """(N,) the labels of `split`, in the order of `index`."""
        return self._examples(split).labels

    def column(self, split: str, name: str) -> list[Any]:
        """(N,) what another column says of the examples of `split`, in the order of `index`.

        Raises:
            DataError: there is no such column.
        """
        examples = self._examples(split)
        if self._column is None or not isinstance(examples, StoredExamples):
            raise DataError(f"the texts have no column '{name}': they are not read from a table")
        cells = self._column(name)
        return [cells[row] for row in examples.rows[np.arange(len(examples))].tolist()]

    def class_counts(self) -> NDArray[np.int64]:
        """(num_classes,) training examples of each class."""
        return self._examples("train").class_counts(self.num_classes)

    def tokenize(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Encodes every split; batches exist only afterwards.

        Args:
            tokenizer: Left as it was.
            max_tokens: What the model can read; texts are cut to this or to the data set's own `max_tokens`,
                whichever is less.
        """
        length = min(self.max_tokens, max_tokens)
        self._tokens = {name: split.tokens(tokenizer, length) for name, split in self._splits.items()}

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split."""
        return -(-self.num_examples("train") // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`.

        Raises:
            DataError: `tokenize` was not called, or a loader worker failed.
        """
        examples, tokens = self._examples("train"), self._tokenized("train")
        make = _TrainBatches(tokens, examples, self.batch_size, self._pad_multiple, self._seed)
        return ordered_batches(make, start=start, stop=None, num_workers=self._num_workers, name="training")

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every example of `split` once, longest texts first, so that memory runs out early or never.

        Raises:
            DataError: `tokenize` was not called.
        """
        examples, tokens, size = self._examples(split), self._tokenized(split), self.eval_batch_size
        return longest_first(tokens, examples, size, self._pad_multiple)

    def fingerprint(self) -> str:
        """sha256 (hex) over class names, texts, labels and their split, in order."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for name, split in self._splits.items():
            digest.update(f"\n{name} {len(split)}\n".encode())
            split.add_to(digest.update)
        return digest.hexdigest()

    def _examples(self, split: str) -> LabelledTexts:
        check_split(split)
        return self._splits[split]

    def _tokenized(self, split: str) -> Ragged:
        self._examples(split)
        if not self._tokens:
            raise DataError(
                "the data set has no tokens yet",
                fix="call dataset.tokenize(tokenizer, max_tokens)",
            )
        return self._tokens[split]


class _TrainBatches:
    """Training batch `k` as a pure function of `k`; remembers only the order of one epoch."""

    def __init__(
        self, tokens: Ragged, examples: LabelledTexts, batch_size: int, pad_multiple: int, seed: int
    ) -> None:
        self._tokens, self._examples = tokens, examples
        self._batch_size, self._pad_multiple, self._seed = batch_size, pad_multiple, seed
        self._per_epoch = -(-len(tokens) // batch_size)
        self._epoch = 0
        self._batches = EpochBatches(tokens, batch_size, seed, 0)

    def __call__(self, number: int) -> dict[str, Tensor]:
        epoch, position = divmod(number, self._per_epoch)
        if epoch != self._epoch:
            self._batches = EpochBatches(self._tokens, self._batch_size, self._seed, epoch)
            self._epoch = epoch
        return padded_batch(self._tokens, self._examples, self._batches[position], self._pad_multiple)


def longest_first(
    tokens: Ragged, examples: LabelledTexts, batch_size: int, pad_multiple: int
) -> Iterator[dict[str, Tensor]]:
    """Every example once, longest texts first, so that memory runs out early or never."""
    order = np.argsort(-tokens.lengths(np.arange(len(tokens))), kind="stable")
    groups = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    return (padded_batch(tokens, examples, rows, pad_multiple) for rows in groups)


def padded_batch(
    tokens: Ragged, examples: LabelledTexts, rows: NDArray[np.int64], pad_multiple: int
) -> dict[str, Tensor]:
    """The batch of (B,) rows; see `TextDataset`."""
    ids, mask = tokens.padded(rows, pad_multiple)
    arrays = {"input_ids": ids, "attention_mask": mask, "labels": examples.labels_at(rows), "index": rows}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def few(examples: LabelledTexts, shots: int, seed: int) -> LabelledTexts:
    """`shots` examples of each class, drawn by a seed."""
    rows = few_of_each(examples.labels, shots, seed)
    if len(rows) == len(examples):
        return examples
    if isinstance(examples, StoredExamples):
        return examples.at(rows, f"{shots} shots by seed {seed}")
    return examples.at(rows) if isinstance(examples, Examples) else examples


def _limited(examples: LabelledTexts, limit: int | None) -> LabelledTexts:
    if isinstance(examples, StoredExamples):
        return examples.limited(limit)
    return limited(examples, limit) if isinstance(examples, Examples) else examples


def divided(
    given: dict[str, Examples],
    class_names: list[str],
    source: str,
    *,
    eval_fraction: float,
    test_fraction: float,
    **batching: Unpack[TextBatching],
) -> TextDataset:
    """A data set of the given splits, and of what is split off the training examples for those not given.

    Args:
        given: Examples of "train" and any other splits.
        class_names: Name of each class.
        source: File or data set, for messages.
        eval_fraction: See `DividedBatching`.
        test_fraction: See `DividedBatching`.
        batching: See `TextBatching`.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the examples cannot be used.
    """
    fractions = {"eval": eval_fraction, "test": test_fraction}
    return TextDataset(
        splits=split_as_needed(given, fractions, source), class_names=class_names, source=source, **batching
    )


def stored(
    source: RowSource,
    *,
    eval_fraction: float,
    test_fraction: float,
    **batching: Unpack[TextBatching],
) -> TextDataset:
    """As `divided`, of rows of any number, which are prepared in the data folder.

    Args:
        source: Of the rows.
        eval_fraction: See `DividedBatching`.
        test_fraction: See `DividedBatching`.
        batching: See `TextBatching`.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the rows cannot be used.
        StorageError: the data folder is full or cannot be written.
    """
    examples, class_names = stored_examples(source, {"eval": eval_fraction, "test": test_fraction})
    return TextDataset(
        splits=examples, class_names=class_names, source=source.name, column=source.column, **batching
    )
