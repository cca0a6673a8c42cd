"""Generated sentences with tags, as files and data sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiexp.dataset.tagging.dataset import TaggingDataset
from aiexp.dataset.tagging.files import tagged_files

SETTINGS: dict[str, Any] = {
    "eval_file": None, "test_file": None, "eval_fraction": 0.2, "test_fraction": 0.2,
    "word_column": 0, "tag_column": -1, "separator": None, "comment": None, "encoding": "utf-8-sig",
    "scheme": "auto", "batch_size": 4, "eval_batch_size": 3, "max_tokens": 40, "pad_multiple": 1, "seed": 0,
    "num_workers": 0,
}  # fmt: skip
KINDS = {"the": "DET", "a": "DET", "king": "NOUN", "queens": "NOUN", "sings": "VERB", "\u00e9t\u00e9": "NOUN"}
NAMES = [["Ada", "King"], ["Bo"], ["New", "Old", "York"]]
Rows = Sequence[tuple[list[str], list[str]]]


def parts_of_speech(count: int, seed: int = 0) -> Rows:
    """Sentences of two to eight words whose tags are those of `KINDS`."""
    random = np.random.default_rng(seed)
    rows = [[str(word) for word in random.choice(list(KINDS), random.integers(2, 9))] for _ in range(count)]
    return [(words, [KINDS[word] for word in words]) for words in rows]


def names(count: int, seed: int = 0) -> Rows:
    """Sentences with names of one to three words, in IOB2: persons, and of the longest one the place."""
    random = np.random.default_rng(seed)
    rows: list[tuple[list[str], list[str]]] = []
    for _ in range(count):
        words, tags = list[str](), list[str]()
        for _ in range(int(random.integers(1, 4))):
            name = NAMES[int(random.integers(len(NAMES)))]
            kind = "LOC" if len(name) > 2 else "PER"
            before = [str(word) for word in random.choice(list(KINDS), 2)]
            words += [*before, *name]
            tags += ["O", "O", f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)]
        rows.append((words, tags))
    return rows


def columns(rows: Rows) -> str:
    """As CoNLL has them."""
    return "\n".join("".join(f"{w} x {t}\n" for w, t in zip(*row, strict=True)) for row in rows)


def load(path: Path, text: str | Rows | None = None, **changes: Any) -> TaggingDataset:
    """The data set of a file that is written."""
    if text is not None:
        path.write_text(text if isinstance(text, str) else columns(text), "utf-8")
    return tagged_files(**{"train_file": str(path), **SETTINGS, **changes})
