"""A generated text, as a data set."""

from pathlib import Path
from typing import Any

import numpy as np

from aiexp.dataset.language.dataset import LanguageDataset
from aiexp.dataset.language.files import text_file

SETTINGS: dict[str, Any] = {
    "eval_file": None, "test_file": None, "encoding": "utf-8-sig", "documents": "none",
    "eval_fraction": 0.1, "test_fraction": 0.1,
    "context": 8, "vocabulary": "characters", "vocab_size": 300,
    "batch_size": 4, "eval_batch_size": 3, "seed": 0,
}  # fmt: skip
WORDS = ["the", "a", "king", "queen", "fool", "sings", "to", "of", "hill", "\u00e9t\u00e9", "\u6708"]


def verses(lines: int, seed: int = 0) -> str:
    """Lines of some words each, characters of one to three bytes among them."""
    random = np.random.default_rng(seed)
    return "".join(" ".join(random.choice(WORDS, int(random.integers(1, 9)))) + "\n" for _ in range(lines))


def load(path: Path, text: str | None = None, **changes: Any) -> LanguageDataset:
    """The data set of a text that is written to a file."""
    if text is not None:
        path.write_text(text, "utf-8")
    settings: dict[str, Any] = {"train_file": str(path), **SETTINGS, **changes}
    return text_file(**settings)


def tokenized(path: Path, text: str | None = None, **changes: Any) -> LanguageDataset:
    """The same with tokens of its own."""
    dataset = load(path, text, **changes)
    dataset.tokenize(dataset.make_tokenizer())
    return dataset
