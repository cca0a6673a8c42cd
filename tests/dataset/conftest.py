"""Generated texts and a small tokenizer; nothing is fetched."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.examples import Examples

SETTINGS: dict[str, Any] = {
    "batch_size": 8,
    "eval_batch_size": 16,
    "max_tokens": 32,
    "pad_multiple": 1,
    "limit": None,
    "shots": None,
    "seed": 0,
    "num_workers": 0,
}


def make_examples(count: int, classes: int = 2, seed: int = 0, tag: str = "t") -> Examples:
    random = np.random.default_rng(seed)
    texts = [
        " ".join([tag, str(i), *map(str, random.integers(0, 50, random.integers(0, 25)))])
        for i in range(count)
    ]
    return Examples(texts=texts, labels=np.arange(count) % classes)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *map(str, range(200)), "t", "e", "x"]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


@pytest.fixture
def make_dataset(tokenizer: Tokenizer) -> Callable[..., TextDataset]:
    def make(count: int = 203, **changes: Any) -> TextDataset:
        splits = {
            "train": make_examples(count),
            "eval": make_examples(41, seed=1, tag="e"),
            "test": make_examples(17, seed=2, tag="x"),
        }
        values = {"splits": splits, "class_names": ["no", "yes"], "source": "here", **SETTINGS, **changes}
        dataset = TextDataset(**values)
        dataset.tokenize(tokenizer, 512)
        return dataset

    return make
