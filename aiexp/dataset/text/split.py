"""Splits that never move: an example's place follows from the sha256 of its text, not from row or seed."""

import hashlib
import logging
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.subset import even_subset
from aiexp.dataset.text.examples import Examples
from aiexp.errors import ConfigError

logger = logging.getLogger(__name__)

_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicates:
    """What `without_duplicates` dropped.

    Args:
        repeated: Rows whose text occurred before with the same label.
        conflicting: Rows of texts that occur with different labels.
    """

    repeated: int
    conflicting: int


def normalised(text: str) -> str:
    """`text` in lower case with every run of punctuation and white space as one space.

    A text of punctuation alone (an emoticon) keeps it.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    return _NOT_WORD.sub(" ", text).strip() or " ".join(text.split())


@lru_cache(maxsize=1 << 17)  # one text is asked for up to four times; for long texts that takes seconds
def text_hash(text: str) -> bytes:
    """sha256 of the normalised text."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).digest()


def without_duplicates(examples: Examples) -> tuple[Examples, Duplicates]:
    """The first of all examples with the same normalised text; none of them when their labels differ."""
    first: dict[bytes, int] = {}
    conflicting: set[bytes] = set()
    hashes = [text_hash(text) for text in examples.texts]
    for row, key in enumerate(hashes):
        if examples.labels[first.setdefault(key, row)] != examples.labels[row]:
            conflicting.add(key)
    kept = sorted(row for key, row in first.items() if key not in conflicting)
    num_conflicting = sum(key in conflicting for key in hashes)
    repeated = len(examples) - num_conflicting - len(kept)
    return examples.at(kept), Duplicates(repeated=repeated, conflicting=num_conflicting)


def hash_order(examples: Examples) -> NDArray[np.int64]:
    """Rows in the order of their texts' hashes."""
    hashes = [text_hash(text) for text in examples.texts]
    return np.array(sorted(range(len(hashes)), key=lambda row: (hashes[row], row)), np.int64)


def stratified(examples: Examples, fractions: dict[str, float]) -> dict[str, Examples]:
    """Parts of `examples` with the same share of each class; every part keeps the order of the rows.

    In each class the rows are sorted by hash and cut, so each part has its fraction of each class to within
    one example, and at least one where the class is large enough.

    Args:
        examples: Without duplicates, else one text could lie in two parts.
        fractions: Part to fraction of each class in [0, 1); the rest is "train".

    Returns:
        The parts, "train" first.

    Raises:
        ConfigError: nothing would be left for training.
    """
    if sum(fractions.values()) >= 1:
        raise ConfigError(
            f"the fractions of {' and '.join(fractions)} leave nothing to train on",
            where=f"{next(iter(fractions))}_fraction",
            fix="make their sum less than 1",
        )
    order = hash_order(examples)
    rows: dict[str, list[int]] = {"train": [], **{part: [] for part in fractions}}
    for label in np.unique(examples.labels):
        members = order[examples.labels[order] == label]
        start = 0
        for part, fraction in fractions.items():
            count = round(fraction * len(members))
            if fraction > 0 and count == 0 and len(members) > len(fractions):
                count = 1
            rows[part] += members[start : start + count].tolist()
            start += count
        rows["train"] += members[start:].tolist()
    return {part: examples.at(sorted(part_rows)) for part, part_rows in rows.items()}


def limited(examples: Examples, limit: int | None) -> Examples:
    """At most `limit` examples, first by hash in each class, with the same share of each class."""
    if limit is None or limit >= len(examples):
        return examples
    return examples.at(even_subset(examples.labels, limit, hash_order(examples)))


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
        if dropped.repeated or dropped.conflicting:
            logger.warning(
                "%s: left out %d repeated texts and %d that occur with different labels",
                source,
                dropped.repeated,
                dropped.conflicting,
            )
        others |= stratified(train, wanted)
        train = others.pop("train")
    seen = {text_hash(text) for text in train.texts}
    for name, examples in others.items():
        if shared := sum(text_hash(text) in seen for text in examples.texts):
            logger.warning("%s: %d texts of split %s also occur in the training split", source, shared, name)
    return {"train": train, **others}
