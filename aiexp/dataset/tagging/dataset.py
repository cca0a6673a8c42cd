"""A data set of tagged sentences."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.dataset.tagging.encoding import Encoding, WordRows, padded
from aiexp.dataset.tagging.stored import UNKNOWN, SentenceSource, SplitSentences, stored_sentences
from aiexp.dataset.text.buckets import EpochBatches
from aiexp.dataset.text.ragged import Ragged
from aiexp.errors import DataError
from aiexp.ranges import NonNegativeInt, PositiveInt, Range
from aiexp.storage.array import positions
from aiexp.text.terminal import say


class TagBatching(Batching):
    """Arguments that data sets of tagged sentences share.

    Args:
        max_tokens: Longer sentences are read in several rows of at most so many tokens: pieces with special
            tokens, or words where the model reads words.
        pad_multiple: Batches are padded to a multiple of this many tokens.
        num_workers: Processes that make batches; 0 makes them in the training process.
    """

    max_tokens: Annotated[int, Range(">= 8")]
    pad_multiple: PositiveInt
    num_workers: NonNegativeInt


@final
class TaggingDataset:
    """Sentences with a tag for each word, in batches padded to their own longest sentence.

    A batch is a dict (B rows, W words) of what the model's encoding makes, and:
        labels: (B, W) int64, `UNKNOWN` on padding and for tags that do not occur in training.
        index: (B,) int64, the sentence of each row in its split.
        start: (B,) int64, the place of its first word in the sentence: 0, but where a sentence is several
            rows.

    Args:
        source: Of the sentences.
        batching: See `TagBatching`.

    Raises:
        DataError: they cannot be used.
    """

    units = MappingProxyType(dict.fromkeys(SPLITS, "sentences"))

    def __init__(self, *, source: SentenceSource, **batching: Unpack[TagBatching]) -> None:
        arrays = stored_sentences(source)
        self.scheme: str = arrays.facts["scheme"]
        self.tag_names: list[str] = sorted(arrays.facts["counts"]["train"])
        if len(self.tag_names) < 2:
            raise DataError(
                f"only one tag in the training split: '{self.tag_names[0]}'", where=source.name,
                fix="check tag_column",
            )  # fmt: skip
        self.batch_size, self.eval_batch_size = batching["batch_size"], batching["eval_batch_size"]
        self.max_tokens = batching["max_tokens"]
        self._pad_multiple, self._seed = batching["pad_multiple"], batching["seed"]
        self._num_workers, self._digest = batching["num_workers"], arrays.digest
        filled = [split for split, counts in arrays.facts["counts"].items() if counts]
        self._sentences = {split: SplitSentences(arrays, split, self.tag_names) for split in filled}
        self._rows: dict[str, EncodedRows] = {}

    def num_examples(self, split: str) -> int:
        """Sentences in `split`; 0 when it does not exist."""
        check_split(split)
        return len(self._sentences[split]) if split in self._sentences else 0

    def words(self, split: str, sentence: int) -> list[str]:
        """The words of a sentence."""
        return self._sentences[split].words(sentence)

    def tags(self, split: str, sentence: int) -> list[str]:
        """Its tags, those too that do not occur in training."""
        return self._sentences[split].tags_of(sentence)

    def word_counts(self) -> Mapping[str, int]:
        """How often each word occurs in training."""
        counts = Counter[str]()
        for words in self._sentences["train"].all_words():
            counts.update(words)
        return counts

    def tokenize(self, encoding: Encoding) -> None:
        """Makes what the model reads of every split; batches exist only afterwards."""
        for split, sentences in self._sentences.items():
            self._rows[split] = rows = EncodedRows(sentences, encoding, self._pad_multiple)
            if rows.num_long:
                unit = "words" if encoding.counts_words else "pieces"
                say(
                    f"note: {rows.num_long:,} sentences of split {split} are longer than "
                    f"{encoding.max_length} {unit} and are read in several rows"
                )

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split; by its sentences until it is tokenized."""
        rows = len(self._rows["train"].lengths) if self._rows else self.num_examples("train")
        return -(-rows // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`.

        Raises:
            DataError: `tokenize` was not called, or a loader worker failed.
        """
        make = _TrainBatches(self._tokenized("train"), self.batch_size, self._seed)
        return ordered_batches(make, start=start, stop=None, num_workers=self._num_workers, name="training")

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every row of `split` once, longest first, so that memory runs out early or never.

        Raises:
            DataError: `tokenize` was not called.
        """
        rows = self._tokenized(split)
        everyone = np.arange(len(rows.lengths))
        order = np.argsort(-rows.lengths.lengths(everyone), kind="stable")
        for start in range(0, len(order), self.eval_batch_size):
            yield rows.batch(order[start : start + self.eval_batch_size])

    def fingerprint(self) -> str:
        """sha256 (hex) over words and tags of all splits, in order."""
        return self._digest

    def _tokenized(self, split: str) -> "EncodedRows":
        check_split(split)
        if split not in self._rows:
            raise DataError(
                f"the data set has no tokens of split '{split}'", fix="call dataset.tokenize(encoding)"
            )
        return self._rows[split]


@final
class EncodedRows:
    """The rows of a split as a model reads them; see `SplitSentences.encoded`."""

    def __init__(self, sentences: SplitSentences, encoding: Encoding, pad_multiple: int) -> None:
        arrays = sentences.encoded(encoding, encoding.max_length)
        self._sentences, self._encoding, self._pad_multiple = sentences, encoding, pad_multiple
        self._units, self._unit_ends = arrays["units"], arrays["unit_ends"]
        self._numbers, self._starts = arrays["numbers"], arrays["rows"]
        self._owners, self._places = arrays["owners"], arrays["places"]
        self.lengths = Ragged(flat=arrays["units"], offsets=arrays["sizes"], pad_id=0)
        self.num_long: int = arrays.facts["long"]

    def batch(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """The batch of (B,) rows; see `TaggingDataset`."""
        starts = self._starts[rows]
        counts = self._starts[rows + 1] - starts  # (B,) words
        words = positions(starts, counts)  # (N,)
        unit_starts, unit_stops = self._unit_ends[words], self._unit_ends[words + 1]
        made = self._encoding.batch(
            WordRows(
                units=self._units.slices(unit_starts, unit_stops - unit_starts),
                unit_counts=unit_stops - unit_starts,
                numbers=self._numbers[words],
                word_counts=counts,
            ),
            self._pad_multiple,
        )
        labels = padded(self._sentences.labels(starts, counts), counts, UNKNOWN)
        width = made["word_mask"].shape[1] - labels.shape[1]
        arrays: dict[str, Any] = {
            "labels": np.pad(labels, ((0, 0), (0, width)), constant_values=UNKNOWN),
            "index": self._owners[rows], "start": self._places[rows],
        }  # fmt: skip
        return made | {name: torch.from_numpy(array) for name, array in arrays.items()}


class _TrainBatches:
    """Training batch `k` as a pure function of `k`; remembers only the order of one epoch."""

    def __init__(self, rows: EncodedRows, batch_size: int, seed: int) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._per_epoch = -(-len(rows.lengths) // batch_size)
        self._epoch = 0
        self._batches = EpochBatches(rows.lengths, batch_size, seed, 0)

    def __call__(self, number: int) -> dict[str, Tensor]:
        epoch, position = divmod(number, self._per_epoch)
        if epoch != self._epoch:
            self._batches = EpochBatches(self._rows.lengths, self._batch_size, self._seed, epoch)
            self._epoch = epoch
        return self._rows.batch(self._batches[position])
