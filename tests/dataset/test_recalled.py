"""A data set that a run remembers, with examples of another one or with none."""

from typing import Any

import pytest

from aiexp.dataset.recalled import MissingExamplesError, Recalled, is_recalled, remember
from tests.toys import Points


class Texts(Points):
    max_tokens = 40
    asked: Any = None

    def tokenize(self, tokenizer: str, max_tokens: int) -> None:
        self.asked = tokenizer, max_tokens


def test_what_is_lent_is_asked_only_what_is_not_remembered() -> None:
    remembered, lent = remember(Texts()), Texts(num_train=8)
    lent.max_tokens = 7
    dataset: Any = Recalled(remembered, lent)
    assert not is_recalled(dataset)
    assert dataset.max_tokens == 40
    assert (dataset.num_examples("train"), dataset.batches_per_epoch()) == (40, 10)
    dataset.tokenize("words", 512)
    assert lent.asked == ("words", 512)
    assert sum(len(batch["x"]) for batch in dataset.eval_batches("test")) == 10


def test_without_a_loan_there_are_no_examples() -> None:
    dataset: Any = Recalled(remember(Texts()))
    assert is_recalled(dataset)
    dataset.tokenize("words", 512)
    with pytest.raises(MissingExamplesError, match="asks its data set for eval_batches"):
        dataset.eval_batches("test")
