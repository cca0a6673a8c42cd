"""Texts that come block by block: a batch is a function of its number, wherever reading began."""

import logging
from collections.abc import Callable, Generator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from aiexp.dataset.base import Positioned
from aiexp.dataset.text.rows import Rows
from aiexp.dataset.text.stream import Position, StreamedTexts
from aiexp.errors import ConfigError, DataError
from tests.dataset.conftest import SETTINGS, make_examples

COUNT = 50  # rows of a pass, in parts of 7
Batches = list[dict[str, torch.Tensor]]


class Counted:
    """Texts "0 ..." to "49 ..." again and again; remembers which parts were read."""

    def __init__(self, labels: Callable[[int], int | str] = lambda row: row % 2) -> None:
        self.read: list[int] = []
        self.is_open = False
        self._labels = labels

    def parts(self, position: Position | None) -> Generator[tuple[Position, Rows]]:
        at = position or {"part": 0}
        self.is_open = True
        try:
            while True:
                first = at["part"] % 8 * 7
                rows = range(first, min(first + 7, COUNT))
                self.read.append(at["part"])
                texts = [" ".join([str(i), *map(str, range(i * 7 % 11))]) for i in rows]
                labels = [self._labels(i) for i in rows]
                yield at, Rows(where="here row {}", texts=texts, labels=labels, numbers=rows)
                at = {"part": at["part"] + 1}
        finally:
            self.is_open = False


@pytest.fixture
def make(tokenizer: Tokenizer) -> Callable[..., StreamedTexts]:
    def made(train: Counted | None = None, **changes: Any) -> StreamedTexts:
        values = {"class_names": ["no", "yes"], "source": "here", "identity": "1", "block_size": 24}
        held = {"eval": make_examples(20, seed=1)}
        dataset = StreamedTexts(train=train or Counted(), **{"held": held, **values, **SETTINGS, **changes})
        dataset.tokenize(tokenizer, 512)
        return dataset

    return made


def take(dataset: StreamedTexts, start: int, count: int) -> Batches:
    return list(islice(dataset.train_batches(start), count))


def assert_same(one: Batches, two: Batches) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_every_row_of_a_block_comes_once_and_pass_follows_pass(make: Callable[..., StreamedTexts]) -> None:
    batches = take(make(), 0, 15)  # five blocks, more than two passes
    places = torch.cat([batch["index"] for batch in batches])
    assert sorted(places.tolist()) == list(range(120))
    for block in range(5):
        assert sorted(places[block * 24 :][:24].tolist()) == list(range(block * 24, block * 24 + 24))
    firsts = torch.cat([batch["input_ids"][:, 1] for batch in batches])  # after [CLS]: the row's number
    assert ((firsts - 4) == places % COUNT).all()
    assert torch.equal(torch.cat([batch["labels"] for batch in batches]), places % COUNT % 2)
    assert {len(batch["index"]) for batch in batches} == {8}


def test_texts_of_similar_length_lie_in_one_batch(make: Callable[..., StreamedTexts]) -> None:
    masks = [batch["attention_mask"] for batch in take(make(block_size=400), 0, 50)]
    assert sum(mask.numel() for mask in masks) < 1.1 * sum(int(mask.sum()) for mask in masks)


def test_seed_and_block_decide_the_order(make: Callable[..., StreamedTexts]) -> None:
    assert_same(take(make(), 0, 9), take(make(), 0, 9))
    orders = [take(make(seed=seed), 0, 1)[0]["index"].tolist() for seed in (0, 1)]
    assert orders[0] != orders[1]
    blocks = take(make(), 0, 6)
    assert (blocks[0]["index"] + 24).tolist() != blocks[3]["index"].tolist()


@pytest.mark.parametrize("start", range(1, 13))
def test_a_saved_position_leads_to_the_same_batches_without_reading_what_came_before(
    make: Callable[..., StreamedTexts], start: int
) -> None:
    whole = make()
    assert isinstance(whole, Positioned)
    batches = whole.train_batches(0)
    expected = list(islice(batches, start))
    state = whole.state(start)
    expected += list(islice(batches, 5))
    train = Counted()
    again = make(train)
    again.load_state(state)
    assert_same(take(again, start, 5), expected[start:])
    assert train.read[0] == start // 3 * 24 // 50 * 8 + start // 3 * 24 % 50 // 7  # the part of its block


def test_a_state_of_the_resumed_data_set_is_as_good(make: Callable[..., StreamedTexts]) -> None:
    expected = take(make(), 0, 14)
    state = None
    for start in range(0, 12, 2):
        dataset = make()
        dataset.load_state(state)
        batches = dataset.train_batches(start)
        assert_same(list(islice(batches, 2)), expected[start : start + 2])
        state = dataset.state(start + 2)


def test_without_a_state_the_stream_is_read_up_to_the_batch(
    make: Callable[..., StreamedTexts], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make()
    dataset.load_state(None)
    assert_same(take(dataset, 7, 3), take(make(), 0, 10)[7:])
    assert "here: passing over 48 examples, no checkpoint says where they end" in capsys.readouterr().err


def test_the_stream_is_closed_with_the_batches(make: Callable[..., StreamedTexts]) -> None:
    train = Counted()
    batches = make(train).train_batches(0)
    next(batches)
    assert train.is_open
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not train.is_open


def test_what_is_held_is_evaluated_and_the_rest_is_unknown(make: Callable[..., StreamedTexts]) -> None:
    dataset = make()
    assert [dataset.num_examples(split) for split in ("train", "eval", "test")] == [None, 20, 0]
    assert dataset.batches_per_epoch() is None
    index = torch.cat([batch["index"] for batch in dataset.eval_batches("eval")])
    assert sorted(index.tolist()) == list(range(20))
    assert list(dataset.eval_batches("test")) == []
    assert len(dataset.texts("eval")) == len(dataset.labels("eval")) == 20
    with pytest.raises(ConfigError, match="how many examples of each class"):
        dataset.class_counts()
    with pytest.raises(DataError, match="are not kept"):
        dataset.texts("train")


def test_the_fingerprint_is_that_of_stream_and_examples(make: Callable[..., StreamedTexts]) -> None:
    base = make().fingerprint()
    assert make(seed=5, batch_size=3, block_size=100).fingerprint() == base
    others = [
        make(identity="2"),
        make(class_names=["no", "maybe"]),
        make(held={}),
        make(held={"test": make_examples(9)}),
    ]
    assert len({base, *(other.fingerprint() for other in others)}) == 5


def test_a_stream_that_is_sorted_by_class_is_noticed_once(
    make: Callable[..., StreamedTexts], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        take(make(Counted(lambda row: int(row >= 48))), 0, 9)
    assert len(caplog.messages) == 1
    assert "block 0, of 24 examples, has one class only, 'no'" in caplog.messages[0]


@pytest.mark.parametrize(
    ("label", "message"),
    [("maybe", "label 'maybe' is not a class: they are no, yes"), (2, "label 2 is out of range")],
)
def test_an_unknown_label_names_its_row(make: Callable[..., StreamedTexts], label: Any, message: str) -> None:
    known: list[Any] = ["no", "yes"] if isinstance(label, str) else [0, 1]
    batches = make(Counted(lambda row: label if row == 40 else known[row % 2])).train_batches(0)
    for _ in range(3):
        next(batches)
    with pytest.raises(DataError, match=message) as caught:
        next(batches)
    assert caught.value.where == "here row 40"


def test_names_and_numbers_mean_the_same_classes(make: Callable[..., StreamedTexts]) -> None:
    named = take(make(Counted(lambda row: ["no", "yes"][row % 2])), 0, 4)
    assert_same(named, take(make(), 0, 4))
    with pytest.raises(DataError, match="two classes have the same name"):
        make(class_names=["a", "a"])


def test_a_block_is_rounded_up_to_whole_batches(make: Callable[..., StreamedTexts]) -> None:
    index = np.concatenate([batch["index"].numpy() for batch in take(make(block_size=17), 0, 3)])
    assert sorted(index.tolist()) == list(range(24))
