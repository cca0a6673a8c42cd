"""Sentences rated from -4 to 4 by 20 people each: movie reviews, tweets, product reviews."""

from pathlib import Path
from typing import Literal

import numpy as np

from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import stratified, without_duplicates
from aiexp.errors import DataError
from aiexp.source.fetch import fetch

CLASS_NAMES = ["negative", "positive"]


def rated_sentences(
    *,
    collection: Literal["movieReviewSnippets", "tweets", "amazonReviewSnippets"],
    neutral_below: float,
    eval_fraction: float,
    test_fraction: float,
    batch_size: int,
    eval_batch_size: int,
    max_tokens: int,
    pad_multiple: int,
    limit: int | None,
    seed: int,
    num_workers: int,
) -> TextDataset:
    """A collection with the sign of the mean rating as class.

    Source: Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
    Text", ICWSM 2014.

    Args:
        collection: Which file of the archive.
        neutral_below: Sentences whose mean rating is at most this far from 0 are left out.
        eval_fraction: Share of each class for validation.
        test_fraction: Share of each class for the test.
        batch_size: Texts in a training batch.
        eval_batch_size: Texts in an evaluation batch.
        max_tokens: Longer texts are cut.
        pad_multiple: Batches are padded to a multiple of this many tokens.
        limit: At most so many examples of each split, None for all.
        seed: Of the order of the training batches; the splits do not depend on it.
        num_workers: Processes that make batches.

    Raises:
        DataError: The data cannot be fetched.
    """
    path = fetch("hutto_icwsm_2014") / f"{collection}_GroundTruth.txt"
    examples, _ = without_duplicates(read_ratings(path, neutral_below))
    return TextDataset(
        splits=stratified(examples, {"eval": eval_fraction, "test": test_fraction}),
        class_names=CLASS_NAMES,
        source=str(path),
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        max_tokens=max_tokens,
        pad_multiple=pad_multiple,
        limit=limit,
        seed=seed,
        num_workers=num_workers,
    )


def read_ratings(path: Path, neutral_below: float) -> Examples:
    """Sentences and the sign of their rating (0 negative, 1 positive), without the neutral ones.

    Args:
        path: Lines `id<TAB>mean rating<TAB>text`.
        neutral_below: Largest absolute rating that counts as neutral.

    Raises:
        DataError: A line has another form.
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
