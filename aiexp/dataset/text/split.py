"""Splits that never move: an example's place follows from the sha256 of its text, not from row or seed.

`without_duplicates`, `stratified` and `limited` are for examples in memory; `division.py` divides those in
files by the same functions.
"""

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.subset import cut, even_subset
from aiexp.dataset.text.examples import Examples

logger = logging.getLogger(__name__)

HASH = "S32"
_NOT_WORD = re.compile(r"[\W_]+")
# What `normalised` does to the characters of ASCII, ten times as fast.
_ASCII = bytes(ord(c.lower()) if (c := chr(i)).isascii() and c.isalnum() else ord(" ") for i in range(256))


def normalised(text: str) -> str:
    """`text` in lower case with every run of punctuation and white space as one space.

    A text of punctuation alone (an emoticon) keeps it.
    """
    if text.isascii() and (words := text.encode().translate(_ASCII).split()):
        return b" ".join(words).decode()
    text = unicodedata.normalize("NFKC", text).lower()
    return _NOT_WORD.sub(" ", text).strip() or " ".join(text.split())


def text_hashes(texts: Iterable[str]) -> NDArray[np.bytes_]:
    """(N,) S32: sha256 of each normalised text; numpy sorts and compares such arrays byte by byte."""
    digests = (hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).digest() for text in texts)
    return np.frombuffer(b"".join(digests), HASH)


def hash_order(hashes: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """(N,) int64: rows in the order of their hashes, equal ones in the order of rows."""
    return np.argsort(hashes, kind="stable").astype(np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distinct:
    """Rows without those that say the same.

    Args:
        rows: (K,) int64, the first of all rows with the same text, in the order of hashes; none of them
            when their labels differ.
        repeated: Rows left out whose text occurred before with the same label.
        conflicting: Rows left out whose text occurs with different labels.
    """

    rows: NDArray[np.int64]
    repeated: int
    conflicting: int


def distinct(hashes: NDArray[np.bytes_], labels: NDArray[np.int64]) -> Distinct:
    """Which of the rows to keep, so that no text lies in two splits.

    Args:
        hashes: (N,) S32, of the texts.
        labels: (N,) int64.
    """
    if not len(hashes):
        return Distinct(rows=np.zeros(0, np.int64), repeated=0, conflicting=0)
    order = hash_order(hashes)
    starts = np.flatnonzero(np.r_[True, hashes[order][1:] != hashes[order][:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    differ = np.minimum.reduceat(labels[order], starts) != np.maximum.reduceat(labels[order], starts)
    conflicting = int(sizes[differ].sum())
    kept = order[starts[~differ]]
    return Distinct(rows=kept, repeated=len(order) - conflicting - len(kept), conflicting=conflicting)


def without_duplicates(examples: Examples) -> tuple[Examples, Distinct]:
    """The first of all examples with the same normalised text; none of them when their labels differ."""
    found = distinct(text_hashes(examples.texts), examples.labels)
    return examples.at(np.sort(found.rows)), found


def stratified(examples: Examples, fractions: dict[str, float]) -> dict[str, Examples]:
    """Parts of `examples` with the same share of each class; every part keeps the order of the rows.

    Args:
        examples: Without duplicates, else one text could lie in two parts.
        fractions: Part to fraction of each class in [0, 1); the rest is "train".

    Returns:
        The parts, "train" first.

    Raises:
        ConfigError: nothing would be left for training.
    """
    order = hash_order(text_hashes(examples.texts))
    labels = examples.labels[order]
    (split,) = cut([labels], np.bincount(labels), fractions)
    return {
        part: examples.at(np.sort(order[split == number]))
        for number, part in enumerate(["train", *fractions])
    }


def limited(examples: Examples, limit: int | None) -> Examples:
    """At most `limit` examples, first by hash in each class, with the same share of each class."""
    if limit is None or limit >= len(examples):
        return examples
    return examples.at(even_subset(examples.labels, limit, hash_order(text_hashes(examples.texts))))


def split_as_needed(
    given: dict[str, Examples], fractions: dict[str, float], source: str
) -> dict[str, Examples]:
    """The given splits, and those that are not given cut off the training examples.

    Duplicates leave the training examples only when something is cut off, so that none lies on both sides;
    given splits stay as they are, and texts they share with the training examples are logged.

    Args:
        given: Examples of "train" and any other splits.
        fractions: Share of each class for a split that is not given; 0 for no such split.
        source: File or data set, for messages.

    Raises:
        ConfigError: nothing would be left for training.
    """
    train = given["train"]
    wanted = {name: part for name, part in fractions.items() if name not in given and part > 0}
    others = {name: examples for name, examples in given.items() if name != "train"}
    if wanted:
        train, dropped = without_duplicates(train)
        note_dropped(source, dropped.repeated, dropped.conflicting)
        others |= stratified(train, wanted)
        train = others.pop("train")
    in_train = text_hashes(train.texts)
    for name in given.keys() - {"train"}:
        note_shared(source, name, int(np.isin(text_hashes(others[name].texts), in_train).sum()))
    return {"train": train, **others}


def note_dropped(source: str, repeated: int, conflicting: int) -> None:
    """Says how many texts were left out of the training examples."""
    if repeated or conflicting:
        logger.warning(
            "%s: left out %d repeated texts and %d that occur with different labels",
            source,
            repeated,
            conflicting,
        )


def note_shared(source: str, split: str, count: int) -> None:
    """Says how many texts of a split the model has seen in training."""
    if count:
        logger.warning("%s: %d texts of split %s also occur in the training split", source, count, split)
