"""Labelled texts of any number: read and divided once, kept in the data folder, read by batches."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from aiexp.dataset.class_labels import LabelCodes, class_numbers, infer_class_names
from aiexp.dataset.subset import even_rows
from aiexp.dataset.text.division import Division, HashBuckets, chunks_of, divide
from aiexp.dataset.text.ragged import Ragged, in_parts, pad_id, token_rows
from aiexp.dataset.text.rows import Rows
from aiexp.dataset.text.split import note_dropped, note_shared, text_hashes
from aiexp.dataset.text.texts import SplitTexts, StoredTexts, Texts
from aiexp.source.prepared import prepared
from aiexp.storage.array import Array, HeldArray
from aiexp.storage.arrays import ArraysWriter, StoredArrays
from aiexp.text.terminal import say

# Part of every key: raise it when what is made of the same rows changes.
_VERSION = 1
_ROWS_AT_ONCE = 8192
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSource:
    """Where the rows of labelled texts come from.

    Args:
        name: File or data set, for messages.
        content: Everything that the rows depend on, as JSON.
        splits: For each given split, "train" first, its rows in parts; asked for only when there is
            something to prepare.
        class_names: In the order of their numbers, None for those that occur in "train".
        texts: The texts by row where the source keeps them itself; None to store a copy.
        column: The cells of any column, of the rows of all splits one behind the other.
    """

    name: str
    content: Mapping[str, Any]
    splits: Mapping[str, Callable[[], Iterator[Rows]]]
    class_names: list[str] | None
    texts: Texts | None = None
    column: Callable[[str], Sequence[Any]] | None = None


def stored_examples(
    source: RowSource, fractions: dict[str, float]
) -> tuple[dict[str, "StoredExamples"], list[str]]:
    """The examples of each split and the names of the classes, prepared at the first start.

    Args:
        source: Of the rows.
        fractions: Share of each class for a split that is not given; 0 for no such split.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the rows cannot be used.
        StorageError: the data folder is full or cannot be written.
    """
    key = {
        "version": _VERSION,
        "content": source.content,
        "class_names": source.class_names,
        "fractions": fractions,
        "copied": source.texts is None,
    }
    arrays = prepared("texts", key, source.name, partial(_prepare, source, fractions))
    facts = arrays.facts
    note_dropped(source.name, facts["repeated"], facts["conflicting"])
    for split, count in facts["shared"].items():
        note_shared(source.name, split, count)
    texts = source.texts or StoredTexts(arrays["texts"], arrays["ends"])
    examples = {
        split: StoredExamples(arrays, split, texts, arrays[f"rows-{split}"], chosen=None)
        for split in facts["splits"]
    }
    return examples, facts["class_names"]


@final
class StoredExamples:
    """Labelled texts of one split, on disk: what `Examples` are in memory.

    Args:
        arrays: Of all splits, as `_prepare` writes them.
        split: Name of this one.
        texts: Of all splits.
        rows: (N,) int64, ascending: those of this split.
        chosen: What is known of the choice of rows among all of the split; None: these are all.
    """

    def __init__(
        self, arrays: StoredArrays, split: str, texts: Texts, rows: Array, chosen: str | None
    ) -> None:
        self.arrays, self.split, self.chosen = arrays, split, chosen
        self.rows = rows
        self.texts = SplitTexts(texts, rows)
        self._labels = arrays["labels"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the class of each; 8 bytes a row in memory."""
        return self.labels_at(np.arange(len(self)))

    def labels_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) int64: the classes at (B,) positions in the split."""
        return self._labels[self.rows[positions]].astype(np.int64)

    def class_counts(self, num_classes: int) -> NDArray[np.int64]:
        """(num_classes,) examples of each class."""
        if self.chosen is not None:
            return np.bincount(self.labels, minlength=num_classes).astype(np.int64)
        return np.array(self.arrays.facts["splits"][self.split], np.int64)

    def limited(self, limit: int | None) -> "StoredExamples":
        """At most `limit` examples, first by hash in each class, with the same share of each class."""
        if limit is None or limit >= len(self):
            return self
        order = self.arrays[f"order-{self.split}"]
        parts = (order.between(start, start + _ROWS_AT_ONCE) for start in range(0, len(self), _ROWS_AT_ONCE))
        sizes = self.class_counts(len(self.arrays.facts["class_names"]))
        rows = even_rows(((part, self._labels[part].astype(np.int64)) for part in parts), sizes, limit)
        return StoredExamples(self.arrays, self.split, self.texts.texts, HeldArray(rows), str(limit))

    def at(self, positions: NDArray[np.int64], chosen: str) -> "StoredExamples":
        """The examples at (B,) ascending positions; `chosen` says how they were found."""
        rows, said = self.rows[positions], f"{self.chosen}, {chosen}"
        return StoredExamples(self.arrays, self.split, self.texts.texts, HeldArray(rows), said)

    def add_to(self, update: Callable[[bytes], None]) -> None:
        """Updates a digest by what changes with any text, label or their order."""
        update("\n".join(self._identity()).encode())

    def _identity(self) -> list[str]:
        return [self.arrays.digest, self.arrays.facts["content"], self.split, str(self.chosen)]

    def tokens(self, tokenizer: Tokenizer, max_tokens: int) -> Ragged:
        """The texts as token numbers, made by all cores at the first start and found at later ones.

        Args:
            tokenizer: Left as it was.
            max_tokens: Longer texts are cut to this many tokens.
        """
        key = {
            "version": _VERSION,
            "texts": self._identity(),
            "tokenizer": hashlib.sha256(tokenizer.to_str().encode()).hexdigest(),
            "max_tokens": max_tokens,
        }
        what = f"{self.arrays.facts['what']}, split {self.split}"
        arrays = prepared("tokens", key, what, partial(self._tokenize, tokenizer, max_tokens))
        return Ragged(flat=arrays["tokens"], offsets=arrays["offsets"], pad_id=arrays.facts["pad_id"])

    def _tokenize(self, tokenizer: Tokenizer, max_tokens: int, writer: ArraysWriter) -> dict[str, Any]:
        is_small = tokenizer.get_vocab_size() <= 1 << 16
        flat, offsets = (
            writer.array("tokens", np.uint16 if is_small else np.int32),
            writer.array("offsets", np.int64),
        )
        offsets.append(np.zeros(1, np.int64))
        progress = _Progress("tokenized", f"of {len(self):,} texts of split {self.split}")
        for tokens, lengths in token_rows(tokenizer, in_parts(self.texts), max_tokens):
            offsets.append(flat.length + np.cumsum(lengths))
            flat.append(tokens)
            progress.add(len(lengths))
        return {"pad_id": pad_id(tokenizer)}


def _prepare(source: RowSource, fractions: dict[str, float], writer: ArraysWriter) -> dict[str, Any]:
    """Writes the arrays of all rows: texts and ends, labels; rows and order of each split."""
    with tempfile.TemporaryDirectory(dir=writer.folder) as name:
        folder = Path(name)
        buckets = HashBuckets(folder)
        codes = LabelCodes(source.name)
        content = hashlib.sha256()
        given: dict[str, int] = {}
        progress = _Progress("read", f"rows of {source.name}")
        class_names = source.class_names
        with (folder / "codes").open("wb") as codes_file:
            for split, read in source.splits.items():
                before = buckets.num_rows
                for rows in read():
                    if source.texts is None:
                        _append_texts(writer, rows.texts)
                    hashes = text_hashes(rows.texts)
                    content.update(hashes.tobytes())
                    buckets.add(hashes)
                    codes_file.write(codes.add(rows.labels, rows.place).tobytes())
                    progress.add(len(rows.texts))
                given[split] = buckets.num_rows - before
                class_names = class_names or infer_class_names(codes)  # of "train", the first
        assert class_names is not None
        labels = _labels(folder / "codes", class_numbers(codes, class_names), buckets.num_rows)
        writer.array("labels", labels.dtype).append(labels)
        division = divide(buckets, labels, given, fractions, folder)
        splits = _write_splits(writer, division, labels, len(class_names))
    return {
        "class_names": class_names,
        "content": content.hexdigest(),
        "splits": splits,
        "repeated": division.repeated,
        "conflicting": division.conflicting,
        "shared": division.shared,
    }


def _append_texts(writer: ArraysWriter, texts: list[str]) -> None:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    data, ends = writer.array("texts", np.uint8), writer.array("ends", np.int64)
    ends.append(data.length + np.cumsum([len(text) for text in encoded]))
    data.append(np.frombuffer(b"".join(encoded), np.uint8))


def _labels(codes: Path, class_of: NDArray[np.int64], num_rows: int) -> NDArray[np.integer]:
    """(N,) the class of each row, in as few bytes as it takes."""
    labels = np.empty(num_rows, np.min_scalar_type(int(class_of.max(initial=0))))
    start = 0
    for part in chunks_of(codes):
        labels[start : start + len(part)] = class_of[part]
        start += len(part)
    return labels


def _write_splits(
    writer: ArraysWriter, division: Division, labels: NDArray[np.integer], num_classes: int
) -> dict[str, list[int]]:
    """Writes the rows of each split in their order and in that of their hashes; returns its class counts."""
    counts = {name: np.zeros(num_classes, np.int64) for name in division.names}
    for number, name in enumerate(division.names):
        rows_array = writer.array(f"rows-{name}", np.int64)
        order_array = writer.array(f"order-{name}", np.int64)
        for start in range(0, len(labels), 1 << 20):
            rows = start + np.flatnonzero(division.split_of[start : start + (1 << 20)] == number)
            rows_array.append(rows)
            counts[name] += np.bincount(labels[rows], minlength=num_classes)
        for part in chunks_of(division.order):
            order_array.append(part[division.split_of[part] == number])
    return {name: count.tolist() for name, count in counts.items()}


@final
class _Progress:
    """Says now and then how far a long preparation is."""

    def __init__(self, done: str, of: str) -> None:
        self._done, self._of, self._count = done, of, 0
        self._due = time.monotonic() + _SECONDS_BETWEEN_LINES

    def add(self, count: int) -> None:
        """So many more."""
        self._count += count
        if time.monotonic() > self._due:
            say(f"{self._done} {self._count:,} {self._of}")
            self._due = time.monotonic() + _SECONDS_BETWEEN_LINES
