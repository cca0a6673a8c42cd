"""Labelled texts of which only a block is on this machine: read in order, and found again by position.

Nobody knows how long a stream is, so training is one sequence of examples without end: pass after pass, cut
into blocks of equal size. Which block a batch is of follows from its number. A block is shuffled by a
function of seed and number; to go on with it, it is read again from its first example, whose position in the
stream a checkpoint holds.
"""

import hashlib
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, Unpack, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.dataset.class_labels import LabelCodes, class_numbers
from aiexp.dataset.splits import check_split
from aiexp.dataset.text.buckets import epoch_batches
from aiexp.dataset.text.dataset import TextBatching, longest_first, padded_batch
from aiexp.dataset.text.examples import NO_EXAMPLES, Examples
from aiexp.dataset.text.ragged import Ragged, encode
from aiexp.dataset.text.rows import Rows
from aiexp.errors import ConfigError, DataError
from aiexp.text.terminal import say

logger = logging.getLogger(__name__)

Position = dict[str, Any]  # JSON values; only who made one knows what they mean


class RowStream(Protocol):
    """Labelled texts in parts of some hundred, without end: after the last row comes the first again."""

    def parts(self, position: Position | None) -> Generator[tuple[Position, Rows]]:
        """Each part with its position.

        Args:
            position: Of the part to begin with; None for the beginning.

        Raises:
            DataError: it breaks off, has no rows, or one of them cannot be used.
        """
        ...


@final
class StreamedTexts:
    """Labelled texts to train on from a stream, those to evaluate on in memory; batches as of `TextDataset`.

    The `index` of a training example is its place in the sequence of all examples, over all passes. In a
    block texts of similar length come into one batch, as in an epoch of `TextDataset`.

    Args:
        train: The stream.
        held: Examples of "eval" and "test", where they exist.
        class_names: Name of each class; a label of the stream is one of them, or its position.
        source: Data set, for messages.
        identity: What tells the stream from others: names of its files and their version.
        block_size: Training examples that are in memory and shuffled at a time, rounded up to whole batches.
        batching: See `TextBatching`; there is no limit, and this process reads the stream.

    Raises:
        DataError: two classes have the same name.
    """

    def __init__(
        self,
        *,
        train: RowStream,
        held: Mapping[str, Examples],
        class_names: list[str],
        source: str,
        identity: str,
        block_size: int,
        **batching: Unpack[TextBatching],
    ) -> None:
        if len(set(class_names)) < len(class_names):
            raise DataError(f"two classes have the same name: {', '.join(class_names)}", where=source)
        self.class_names = list(class_names)
        self.num_classes = len(class_names)
        self.batch_size = batching["batch_size"]
        self.eval_batch_size = batching["eval_batch_size"]
        self.max_tokens = batching["max_tokens"]
        self._pad_multiple, self._seed = batching["pad_multiple"], batching["seed"]
        self._train, self._held, self._source, self._identity = train, held, source, identity
        self._classes = StreamedClasses(class_names, source)
        self._per_block = -(-block_size // self.batch_size)
        # Where blocks begin: a part of the stream, and how many of its rows belong to the block before.
        self._starts: dict[int, dict[str, Any]] = {0: {"part": None, "skip": 0}}
        self._tokenizer: Tokenizer | None = None
        self._max_tokens, self._tokens = 0, dict[str, Ragged]()
        self._told = False

    def num_examples(self, split: str) -> int | None:
        """Examples in `split`; None of "train", 0 when the split does not exist."""
        return None if split == "train" else len(self._examples(split))

    def texts(self, split: str) -> Sequence[str]:
        """The texts of "eval" or "test", in the order of `index`."""
        return self._examples(split).texts

    def labels(self, split: str) -> NDArray[np.int64]:
        """(N,) the labels of "eval" or "test", in the order of `index`."""
        return self._examples(split).labels

    def class_counts(self) -> NDArray[np.int64]:
        """Nothing: nobody has counted them.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "a stream does not say how many examples of each class it has",
            where="class_weights", fix="class_weights=null, or a list of numbers",
        )  # fmt: skip

    def tokenize(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """Encodes "eval" and "test", and takes the tokenizer for the blocks; see `TextDataset.tokenize`."""
        self._tokenizer, self._max_tokens = tokenizer, min(self.max_tokens, max_tokens)
        self._tokens = {name: self._encode(examples) for name, examples in self._held.items()}

    def batches_per_epoch(self) -> None:
        """None: nobody knows."""
        return

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`.

        Raises:
            DataError: `tokenize` was not called, or what `RowStream.parts` raises.
        """
        with closing(self._blocks(start // self._per_block)) as blocks:
            for number, examples in blocks:
                tokens = self._encode(examples)
                first = number * self._per_block
                lengths = tokens.lengths(np.arange(len(tokens)))
                order = epoch_batches(lengths, self.batch_size, self._seed, number)
                for rows in order[max(start - first, 0) :]:
                    batch = padded_batch(tokens, examples, rows, self._pad_multiple)
                    batch["index"] += first * self.batch_size
                    yield batch

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every example of "eval" or "test" once, longest texts first.

        Raises:
            DataError: `tokenize` was not called.
        """
        examples = self._examples(split)
        tokens = self._tokens.get(split) or self._encode(examples)
        return longest_first(tokens, examples, self.eval_batch_size, self._pad_multiple)

    def fingerprint(self) -> str:
        """sha256 (hex) over class names, what the stream is, and the examples of "eval" and "test"."""
        digest = hashlib.sha256("\0".join([*self.class_names, self._identity]).encode())
        for name, examples in self._held.items():
            digest.update(f"\n{name} {len(examples)}\n".encode())
            examples.add_to(digest.update)
        return digest.hexdigest()

    def state(self, start: int) -> dict[str, Any]:
        """Where the block of batch number `start` begins; see `Positioned`."""
        block = self._nearest(start // self._per_block)
        return {"block": block, "start": self._starts[block]}

    def load_state(self, state: dict[str, Any] | None) -> None:
        """Takes what `state` returned; without it the stream is read from its beginning."""
        if state is not None:
            start = {"part": state["start"]["part"], "skip": int(state["start"]["skip"])}
            self._starts = {0: self._starts[0], int(state["block"]): start}

    def _blocks(self, wanted: int) -> Generator[tuple[int, Examples]]:
        """The blocks from number `wanted` on; those between it and the nearest known one are passed over."""
        number, size = self._nearest(wanted), self._per_block * self.batch_size
        if number < wanted:
            count = (wanted - number) * size
            say(f"{self._source}: passing over {count:,} examples, no checkpoint says where they end")
        begin = self._starts[number]
        skip, texts, labels = begin["skip"], list[str](), list[NDArray[np.int64]]()
        with closing(self._train.parts(begin["part"])) as parts:
            for position, rows in parts:
                part_labels = self._classes.numbers(rows)
                while skip < len(rows.texts):
                    stop = min(skip + size - len(texts), len(rows.texts))
                    texts += rows.texts[skip:stop]
                    labels.append(part_labels[skip:stop])
                    skip = stop
                    if len(texts) == size:
                        block = Examples(texts=texts, labels=np.concatenate(labels))
                        end = {"part": position, "skip": skip}
                        self._starts = {0: self._starts[0], number: begin, number + 1: end}
                        if number >= wanted:
                            self._tell(number, block)
                            yield number, block
                        number, begin, texts, labels = number + 1, end, [], []
                skip = 0

    def _nearest(self, block: int) -> int:
        """The last known block that is not behind this one."""
        return max(known for known in self._starts if known <= block)

    def _tell(self, number: int, block: Examples) -> None:
        """Warns of a stream that is sorted by class, once."""
        present = np.unique(block.labels)
        if len(present) == 1 and not self._told:
            self._told = True
            logger.warning(
                "%s: block %d, of %d examples, has one class only, '%s': where a stream is sorted, a larger "
                "block_size mixes more of it",
                self._source, number, len(block), self.class_names[int(present[0])],
            )  # fmt: skip

    def _encode(self, examples: Examples) -> Ragged:
        if self._tokenizer is None:
            raise DataError(
                "the data set has no tokens yet", fix="call dataset.tokenize(tokenizer, max_tokens)"
            )
        return encode(self._tokenizer, examples.texts, self._max_tokens)

    def _examples(self, split: str) -> Examples:
        check_split(split)
        if split == "train":
            raise DataError("the training examples of a stream are not kept", where=self._source)
        return self._held.get(split, NO_EXAMPLES)


@final
class StreamedClasses:
    """The classes of labels that come in parts.

    Args:
        class_names: In the order of their numbers.
        source: Data set, for messages.
    """

    def __init__(self, class_names: list[str], source: str) -> None:
        self._class_names, self._codes = class_names, LabelCodes(source)
        self._class_of = np.zeros(0, np.int64)

    def numbers(self, rows: Rows) -> NDArray[np.int64]:
        """(B,) int64: the class of each row.

        Raises:
            DataError: a label is no class; names the row.
        """
        codes = self._codes.add(rows.labels, rows.place)
        if len(self._codes.places) > len(self._class_of):
            self._class_of = class_numbers(self._codes, self._class_names)
        return self._class_of[codes]
