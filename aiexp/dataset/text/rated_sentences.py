"""Sentences rated from -4 to 4 by 20 people each: movie reviews, tweets, product reviews."""

from pathlib import Path
from typing import Literal, Unpack

import numpy as np

from aiexp.dataset.text.dataset import DividedBatching, TextDataset, divided
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import without_duplicates
from aiexp.errors import DataError
from aiexp.ranges import NonNegativeFloat
from aiexp.source.fetch import fetch

CLASS_NAMES = ["negative", "positive"]


def rated_sentences(
    *,
    collection: Literal["movieReviewSnippets", "tweets", "amazonReviewSnippets"],
    neutral_below: NonNegativeFloat,
    **batching: Unpack[DividedBatching],
) -> TextDataset:
    """A collection with the sign of the mean rating as class.

    Source: Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
    Text", ICWSM 2014.

    Args:
        collection: Which file of the archive.
        neutral_below: Sentences whose mean rating is at most this far from 0 are left out.
        batching: See `DividedBatching` and `TextBatching`.

    Raises:
        DataError: the data cannot be fetched.
    """
    path = fetch("hutto_icwsm_2014") / f"{collection}_GroundTruth.txt"
    examples, _ = without_duplicates(read_ratings(path, neutral_below))
    return divided({"train": examples}, CLASS_NAMES, str(path), **batching)


def read_ratings(path: Path, neutral_below: float) -> Examples:
    """Sentences and the sign of their rating (0 negative, 1 positive), without the neutral ones.

    Args:
        path: Lines `id<TAB>mean rating<TAB>text`.
        neutral_below: Largest absolute rating that counts as neutral.

    Raises:
        DataError: a line has another form.
    """
    texts: list[str] = []
    labels: list[int] = []
    # Only the line feed ends a line here: `splitlines` would also split at rarer separators in a text.
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            _, field, text = line.split("\t")
            rating = float(field)
        except ValueError:
            raise DataError("a line is not `id, rating, text`", where=f"{path}:{number}") from None
        if abs(rating) > neutral_below:
            texts.append(text.strip())
            labels.append(int(rating > 0))
    return Examples(texts=texts, labels=np.array(labels, np.int64))
