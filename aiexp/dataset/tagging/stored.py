"""Tagged sentences of any number: read once, kept in the data folder, read by batches."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.tagging.columns import Sentence
from aiexp.dataset.tagging.scheme import BILOU, IOB1, IOB2, IOBES, PLAIN, SchemeFinder, num_broken, unified
from aiexp.dataset.text.texts import StoredTexts
from aiexp.errors import DataError
from aiexp.source.prepared import prepared
from aiexp.storage.array import Array
from aiexp.storage.arrays import ArraysWriter, StoredArrays
from aiexp.text.terminal import say

# Part of every key: raise it when what is made of the same sentences changes.
_VERSION = 1
_AT_ONCE = 1024  # sentences that are written together
_WORDS_AT_ONCE = 100_000
UNKNOWN = -100  # the label of a tag that does not occur in training, and of padding


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceSource:
    """Where tagged sentences come from.

    Args:
        name: File or data set, for messages.
        content: Everything that they depend on, as JSON.
        splits: For each split, "train" first, its sentences; asked for only when there is something to
            prepare.
        scheme: One of `SCHEMES`; None to find it in the training sentences.
    """

    name: str
    content: Mapping[str, Any]
    splits: Mapping[str, Callable[[], Iterator[Sentence]]]
    scheme: str | None


class WordNumbers(Protocol):
    """How a model reads words: see `aiexp.dataset.tagging.encoding`."""

    max_length: int
    counts_words: bool

    def key(self) -> str:
        """What the numbers depend on."""
        ...

    def encode(self, words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """Units of all words end to end, the (N,) number of each word's, and a (N,) number of each word."""
        ...


def stored_sentences(source: SentenceSource) -> StoredArrays:
    """The sentences of all splits, prepared at the first start.

    Raises:
        DataError: they cannot be used.
        StorageError: the data folder is full or cannot be written.
    """
    key = {"version": _VERSION, "content": source.content, "scheme": source.scheme}
    arrays = prepared("tagged", key, source.name, partial(_prepare, source))
    _tell(arrays.facts, source.name)
    return arrays


def _prepare(source: SentenceSource, writer: ArraysWriter) -> dict[str, Any]:
    """Writes letters, ends of words, tags and ends of sentences of each split."""
    scheme = source.scheme or _find_scheme(source.splits["train"]())
    counts: dict[str, dict[str, int]] = {}
    first: dict[str, str] = {}
    codes: dict[str, int] = {}
    broken: dict[str, tuple[int, str]] = {}
    for split, read in source.splits.items():
        seen, odd = Counter[str](), _Broken(scheme)
        sentences = read()
        while some := list(islice(sentences, _AT_ONCE)):
            rows = [unified(one.tags, scheme) for one in some]
            for sentence, tags in zip(some, rows, strict=True):
                odd.add(tags, sentence.place)
                for tag in tags:
                    if tag not in codes:
                        codes[tag], first[tag] = len(codes), sentence.place
                seen.update(tags)
            _append(writer, split, some, [[codes[tag] for tag in tags] for tags in rows])
        if not seen and split == "train":
            raise DataError(
                "there are no sentences in it", where=source.name, fix="a word and its tag a line"
            )
        counts[split], broken[split] = dict(seen), (odd.count, odd.first)
    read_as = {IOB1: IOB2, BILOU: IOBES}.get(scheme, scheme)
    return {
        "found": scheme, "scheme": read_as, "tags": list(codes), "counts": counts, "first": first,
        "broken": broken,
    }  # fmt: skip


def _find_scheme(sentences: Iterator[Sentence]) -> str:
    finder = SchemeFinder()
    for sentence in sentences:
        finder.add(sentence.tags)
    return finder.scheme()


@final
class _Broken:
    """Counts the sentences whose tags break their scheme."""

    def __init__(self, scheme: str) -> None:
        self._scheme, self.count, self.first = scheme, 0, ""

    def add(self, tags: list[str], place: str) -> None:
        """Takes the tags of a sentence, as they are kept."""
        if self._scheme != PLAIN and num_broken(tags, self._scheme):
            self.count, self.first = self.count + 1, self.first or place


def _append(writer: ArraysWriter, split: str, sentences: list[Sentence], tags: list[list[int]]) -> None:
    words = [word.encode("utf-8", "surrogatepass") for sentence in sentences for word in sentence.words]
    letters, ends = writer.array(f"letters-{split}", np.uint8), writer.array(f"word_ends-{split}", np.int64)
    codes = writer.array(f"tags-{split}", np.int32)
    sentence_ends = writer.array(f"sentence_ends-{split}", np.int64)
    sentence_ends.append(codes.length + np.cumsum([len(row) for row in tags]))
    codes.append(np.array([code for row in tags for code in row], np.int32))
    ends.append(letters.length + np.cumsum([len(word) for word in words]))
    letters.append(np.frombuffer(b"".join(words), np.uint8))


def _tell(facts: Mapping[str, Any], name: str) -> None:
    """Says which scheme was found, and what in the sentences breaks it."""
    if facts["found"] != PLAIN:
        kept = "" if facts["found"] == facts["scheme"] else f", read as {facts['scheme'].upper()}"
        say(f"the tags of {name} are {facts['found'].upper()}{kept}")
    for split, (count, place) in facts["broken"].items():
        if count:
            say(f"note: the tags of {count:,} sentences of split {split} break their scheme, first {place}")
    unknown = {
        split: set(counts) - facts["counts"]["train"].keys() for split, counts in facts["counts"].items()
    }
    for split, tags in unknown.items():
        if tags:
            words = sum(facts["counts"][split][tag] for tag in tags)
            tag = min(tags, key=lambda tag: facts["tags"].index(tag))
            say(
                f"note: {words:,} words of split {split} have tags that do not occur in training and count "
                f"as errors: '{tag}', first {facts['first'][tag]}"
                + (f", and {len(tags) - 1} more" if len(tags) > 1 else "")
            )


@final
class SplitSentences:
    """The sentences of one split, on disk.

    Args:
        arrays: Of all splits, as `stored_sentences` gives them.
        split: Its name.
        tag_names: The tag of each label.
    """

    def __init__(self, arrays: StoredArrays, split: str, tag_names: list[str]) -> None:
        self._arrays, self._split = arrays, split
        self._ends = arrays[f"sentence_ends-{split}"]
        self._words = StoredTexts(arrays[f"letters-{split}"], arrays[f"word_ends-{split}"])
        self.tags: Array = arrays[f"tags-{split}"]
        labels = {tag: label for label, tag in enumerate(tag_names)}
        self._names: list[str] = arrays.facts["tags"]
        self._label_of = np.array([labels.get(tag, UNKNOWN) for tag in self._names], np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def num_words(self) -> int:
        """Of all sentences."""
        return len(self.tags)

    def bounds(self, sentence: int) -> tuple[int, int]:
        """First word of a sentence, and one past its last."""
        start = int(self._ends[np.array([sentence - 1])][0]) if sentence else 0
        return start, int(self._ends[np.array([sentence])][0])

    def words(self, sentence: int) -> list[str]:
        """The words of a sentence."""
        return self._words.many(np.arange(*self.bounds(sentence)))

    def tags_of(self, sentence: int) -> list[str]:
        """Its tags, those too that do not occur in training."""
        return [self._names[code] for code in self.tags.between(*self.bounds(sentence)).tolist()]

    def labels(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(sum of lengths,) the labels of stretches of words, `UNKNOWN` for tags that training has not."""
        return self._label_of[self.tags.slices(starts, lengths)]

    def all_words(self) -> Iterator[list[str]]:
        """The words in parts."""
        for start in range(0, self.num_words, _WORDS_AT_ONCE):
            yield self._words.many(np.arange(start, min(start + _WORDS_AT_ONCE, self.num_words)))

    def encoded(self, encoding: WordNumbers, max_length: int) -> StoredArrays:
        """What a model reads, made at the first start and found at later ones.

        Args:
            encoding: Of the model.
            max_length: Longest row, in words or units as the encoding counts; longer sentences are several.

        Returns:
            `units`, `unit_ends` of each word from 0, `numbers` of each word; of R rows `rows` (R + 1,) where
            each begins in words and `sizes` (R + 1,) in what the encoding counts, `owners` (R,) its sentence,
            `places` (R,) of its first word there; facts `long`: sentences that are several rows.
        """
        key = {
            "version": _VERSION, "kind": "tagged", "sentences": self._arrays.digest, "split": self._split,
            "encoding": encoding.key(), "max_length": max_length,
        }  # fmt: skip
        what = f"{self._arrays.facts['what']}, split {self._split}"
        return prepared("tokens", key, what, partial(self._encode, encoding, max_length))

    def _encode(self, encoding: WordNumbers, max_length: int, writer: ArraysWriter) -> dict[str, Any]:
        units, unit_ends = writer.array("units", np.int32), writer.array("unit_ends", np.int64)
        numbers = writer.array("numbers", np.int32)
        unit_ends.append(np.zeros(1, np.int64))
        sizes = list[NDArray[np.int64]]()
        for words in self.all_words():
            made, lengths, number = encoding.encode(words)
            unit_ends.append(units.length + np.cumsum(lengths))
            units.append(made)
            numbers.append(number)
            sizes.append(np.ones_like(lengths) if encoding.counts_words else lengths)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
        ends = self._ends.between(0, len(self))
        rows, num_long = cut_rows(before, ends, max_length)
        owners = np.searchsorted(ends, rows[:-1], "right")
        writer.array("owners", np.int64).append(owners)
        writer.array("places", np.int64).append(rows[:-1] - np.concatenate([[0], ends])[owners])
        writer.array("rows", np.int64).append(rows)
        writer.array("sizes", np.int64).append(before[rows])
        return {"long": num_long}


def cut_rows(
    before: NDArray[np.int64], ends: NDArray[np.int64], max_length: int
) -> tuple[NDArray[np.int64], int]:
    """Where rows begin, in words: sentences, and of those that are too long as many words as fit.

    Args:
        before: (N + 1,) what all words before each are long; no word is longer than `max_length`.
        ends: (S,) of sentences, in words.
        max_length: Longest row.

    Returns:
        (R + 1,) int64, and the number of sentences that are several rows.
    """
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    too_long = np.flatnonzero(np.diff(before[starts]) > max_length)
    cuts = [starts]
    for sentence in too_long.tolist():
        start, stop = int(starts[sentence]), int(starts[sentence + 1])
        inner = list[int]()
        while before[stop] - before[start] > max_length:
            start = int(np.searchsorted(before, before[start] + max_length, "right")) - 1
            inner.append(start)
        cuts.append(np.array(inner, np.int64))
    return np.sort(np.concatenate(cuts)), len(too_long)
