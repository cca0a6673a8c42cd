"""20 Newsgroups with its own division into training and test posts."""

import csv
import io
from pathlib import Path
from typing import Unpack

import numpy as np

from aiexp.dataset.text.dataset import TextBatching, TextDataset
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import stratified, text_hashes, without_duplicates
from aiexp.errors import DataError
from aiexp.ranges import Share
from aiexp.source.fetch import fetch

_HEADER_LINES = 3


def newsgroups(
    *,
    eval_fraction: Share,
    **batching: Unpack[TextBatching],
) -> TextDataset:
    """Posts of 1993 with their newsgroup as class; the "bydate" division into training and test.

    Args:
        eval_fraction: Share of each class of the training posts that becomes the validation split.
        batching: See `TextBatching`.

    Raises:
        DataError: the data cannot be fetched.
    """
    folder = fetch("newsgroups")
    train_texts, train_names = read_posts(folder / "20newsgroups-train.tab")
    test_texts, test_names = read_posts(folder / "20newsgroups-test.tab")
    class_names = sorted(set(train_names))
    number = {name: i for i, name in enumerate(class_names)}
    test = Examples(texts=test_texts, labels=np.array([number[n] for n in test_names], np.int64))
    train = Examples(texts=train_texts, labels=np.array([number[n] for n in train_names], np.int64))
    # The test posts stay as published; what also occurs in them leaves the training posts.
    in_test = np.isin(text_hashes(train.texts), text_hashes(test_texts))
    train = train.at(np.flatnonzero(~in_test))
    train, _ = without_duplicates(train)
    return TextDataset(
        splits={**stratified(train, {"eval": eval_fraction}), "test": test},
        class_names=class_names,
        source=str(folder),
        **batching,
    )


def read_posts(path: Path) -> tuple[list[str], list[str]]:
    """Texts and newsgroups of a tab-separated file with three lines of header.

    Raises:
        DataError: no row of two cells is there.
    """
    reader = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""), delimiter="\t")
    # Posts without a newsgroup are empty rows of the file.
    rows = [row for row in list(reader)[_HEADER_LINES:] if len(row) == 2 and row[0]]
    if not rows:
        raise DataError("no posts in the file", where=str(path))
    return [row[1] for row in rows], [row[0] for row in rows]
