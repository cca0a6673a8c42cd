"""Texts on disk are divided, batched and shown as the same texts in memory, whatever their number."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from aiexp.dataset import order
from aiexp.dataset.text import buckets, division, ragged, stored
from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.ragged import encode
from aiexp.dataset.text.rows import Rows
from aiexp.dataset.text.split import limited, split_as_needed
from aiexp.dataset.text.stored import RowSource, StoredExamples, stored_examples
from aiexp.errors import DataError
from aiexp.storage import array
from tests.dataset.conftest import SETTINGS

FRACTIONS = {"eval": 0.1, "test": 0.15}


@pytest.fixture(autouse=True)
def _small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bound is met many times."""
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(division, "_HELD_ROWS", 100)
    monkeypatch.setattr(division, "_CHUNK", 64)
    monkeypatch.setattr(stored, "_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(ragged, "_TEXTS_AT_ONCE", 50)
    monkeypatch.setattr(ragged, "_READ_AT_ONCE", 20)


def test_texts_are_tokenized_in_parts_of_a_few_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a" * length for length in [1] * 130 + [100] * 90]
    monkeypatch.setattr(ragged, "_CHARACTERS_AT_ONCE", 3000)
    parts = list(ragged.in_parts(texts))
    assert [text for part in parts for text in part] == texts
    assert [len(part) for part in parts] == [60, 60, 40, 40, 20]


def some(count: int, seed: int) -> Examples:
    """Texts of which many repeat, some with another label; one class is rare."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, count, count)
    labels = np.where(random.random(count) < 0.05, random.integers(0, 3, count), numbers % 2)
    texts = [
        f"Text {n} {'!' * int(k)} " + "long " * int(n % 13) for n, k in zip(numbers, labels, strict=True)
    ]
    return Examples(texts=texts, labels=labels.astype(np.int64))


def parts_of(examples: Examples, split: str) -> Iterator[Rows]:
    for start in range(0, len(examples), 37):
        rows = np.arange(start, min(start + 37, len(examples)))
        labels: list[int | str] = [f"class {label}" for label in examples.labels[rows]]
        yield Rows(where=f"{split}:{{}}", texts=examples.at(rows).texts, labels=labels, numbers=rows.tolist())


def keep(given: dict[str, Examples], fractions: dict[str, float] = FRACTIONS) -> dict[str, StoredExamples]:
    source = RowSource(
        name="toys.csv",
        content={"sizes": {split: len(part) for split, part in given.items()}},
        splits={split: lambda part=part, split=split: parts_of(part, split) for split, part in given.items()},
        class_names=None,
    )
    examples, class_names = stored_examples(source, fractions)
    assert class_names == ["class 0", "class 1", "class 2"]
    return examples


@pytest.mark.parametrize(
    ("splits", "fractions"),
    [
        (["train"], FRACTIONS),
        (["train", "test"], FRACTIONS),
        (["train", "eval", "test"], FRACTIONS),
        (["train"], {"eval": 0.0, "test": 0.0}),
        (["train", "eval"], {"eval": 0.1, "test": 0.0}),
    ],
)
def test_they_are_divided_as_in_memory(
    splits: list[str], fractions: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    given = {split: some(700, seed) for seed, split in enumerate(splits)}
    expected = split_as_needed(given, fractions, "toys.csv")
    told = sorted(record.message for record in caplog.records)
    caplog.clear()
    found = keep(given, fractions)
    assert sorted(record.message for record in caplog.records) == told
    assert found.keys() == expected.keys()
    for split, examples in expected.items():
        assert list(found[split].texts) == examples.texts
        np.testing.assert_array_equal(found[split].labels, examples.labels)
        np.testing.assert_array_equal(found[split].class_counts(3), examples.class_counts(3))


@pytest.mark.parametrize("limit", [3, 100, 10_000])
def test_a_limit_takes_the_same_examples_as_in_memory(limit: int) -> None:
    given = {"train": some(700, 0)}
    expected = limited(split_as_needed(given, FRACTIONS, "toys.csv")["train"], limit)
    found = keep(given)["train"].limited(limit)
    assert list(found.texts) == expected.texts
    np.testing.assert_array_equal(found.class_counts(3), expected.class_counts(3))


@pytest.mark.parametrize("shots", [1, 5, 10_000])
def test_shots_are_the_same_examples_as_in_memory(shots: int, tokenizer: Tokenizer) -> None:
    names, found = ["class 0", "class 1", "class 2"], dict[str, TextDataset]()
    stored_splits, splits = (
        keep({"train": some(700, 0)}),
        split_as_needed({"train": some(700, 0)}, FRACTIONS, "x"),
    )
    for kind, those in {"memory": splits, "disk": stored_splits}.items():
        settings = {**SETTINGS, "shots": shots}
        found[kind] = TextDataset(splits=those, class_names=names, source="toys.csv", **settings)
    assert list(found["disk"].texts("train")) == list(found["memory"].texts("train"))
    whole = splits["train"].class_counts(3)
    np.testing.assert_array_equal(found["disk"].class_counts(), np.minimum(whole, shots))
    assert found["disk"].num_examples("eval") == len(splits["eval"]), "only training has shots"
    other = TextDataset(
        splits=stored_splits, class_names=names, source="toys.csv", **{**SETTINGS, "shots": shots, "seed": 1}
    )
    same_rows = list(other.texts("train")) == list(found["disk"].texts("train"))
    assert same_rows == (shots > 700)
    assert (other.fingerprint() == found["disk"].fingerprint()) == same_rows
    widths = [
        sorted(batch["attention_mask"].sum(1).tolist() for batch in tokenized(each, tokenizer))
        for each in found.values()
    ]
    assert widths[0] == widths[1]


def tokenized(dataset: TextDataset, tokenizer: Tokenizer) -> Iterator[dict[str, Any]]:
    """The batches of an epoch."""
    dataset.tokenize(tokenizer, 512)
    return islice(dataset.train_batches(0), dataset.batches_per_epoch())


def test_a_second_start_reads_no_row(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"train": some(300, 0)}
    first = keep(given)["train"]
    tokens = first.tokens(tokenizer, 20)
    monkeypatch.setattr(stored, "text_hashes", None)
    monkeypatch.setattr(stored, "token_rows", None)
    again = keep(given)["train"]
    assert list(again.texts[10:20]) == list(first.texts)[10:20]
    rows = np.array([5, 100, 5])
    for one, other in zip(tokens.padded(rows, 4), again.tokens(tokenizer, 20).padded(rows, 4), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(TypeError):  # another length of texts: other tokens
        again.tokens(tokenizer, 19)


def test_tokens_are_those_of_the_texts_in_memory(tokenizer: Tokenizer) -> None:
    train = keep({"train": some(300, 0)})["train"]
    expected = encode(tokenizer, list(train.texts), 12)
    found = train.tokens(tokenizer, 12)
    rows = np.arange(len(train))
    for one, other in zip(found.padded(rows, 1), expected.padded(rows, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def dataset_of(examples: dict[str, StoredExamples], tokenizer: Tokenizer) -> TextDataset:
    dataset = TextDataset(
        splits=examples, class_names=["class 0", "class 1", "class 2"], source="toys.csv", **SETTINGS
    )
    dataset.tokenize(tokenizer, 512)
    return dataset


@pytest.mark.parametrize("most_shuffled", [0, order.MOST_SHUFFLED])
def test_an_epoch_has_every_row_once_and_goes_on_anywhere(
    most_shuffled: int, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "MOST_SHUFFLED", most_shuffled)
    monkeypatch.setattr(buckets, "MOST_SHUFFLED", most_shuffled)
    monkeypatch.setattr(buckets, "SORTED_TOGETHER", 7)
    dataset = dataset_of(keep({"train": some(700, 0)}), tokenizer)
    per_epoch, batches = dataset.batches_per_epoch(), dataset.train_batches(0)
    epochs = [[next(batches) for _ in range(per_epoch)] for _ in range(2)]
    for epoch in epochs:
        index = np.concatenate([batch["index"].numpy() for batch in epoch])
        np.testing.assert_array_equal(np.sort(index), np.arange(dataset.num_examples("train")))
    first, second = ([batch["index"].tolist() for batch in epoch] for epoch in epochs)
    assert first != second
    start = per_epoch + 11
    resumed = next(dataset.train_batches(start))
    for name, tensor in epochs[1][11].items():
        np.testing.assert_array_equal(resumed[name].numpy(), tensor.numpy())


def test_a_flipped_bit_gets_into_no_batch(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "RESIDENT_BYTES", 0)
    train = keep({"train": some(700, 0)})["train"]
    path = train.arrays.folder.parent
    train.tokens(tokenizer, SETTINGS["max_tokens"])
    (tokens,) = path.glob("tokens-*/tokens.bin")
    data = bytearray(tokens.read_bytes())
    data[len(data) // 2] ^= 4
    tokens.write_bytes(data)
    dataset = dataset_of(keep({"train": some(700, 0)}), tokenizer)
    with pytest.raises(DataError, match=r"changed on disk .*aiexp data rm tokens-"):
        list(islice(dataset.train_batches(0), dataset.batches_per_epoch()))


def test_its_fingerprint_changes_with_a_text_a_label_or_the_limit() -> None:
    given = some(300, 0)
    other_text = Examples(texts=["another", *given.texts[1:]], labels=given.labels)
    other_label = Examples(texts=given.texts, labels=np.r_[(given.labels[:1] + 1) % 3, given.labels[1:]])
    found = set[str]()
    for number, examples in enumerate((given, other_text, other_label)):
        source = RowSource(
            name="toys.csv",
            content={"number": number},
            splits={"train": lambda examples=examples: parts_of(examples, "train")},
            class_names=None,
        )
        splits, names = stored_examples(source, FRACTIONS)
        for limit in (None, 50):
            settings = {**SETTINGS, "limit": limit}
            made = TextDataset(splits=splits, class_names=names, source="toys.csv", **settings)
            found.add(made.fingerprint())
    assert len(found) == 6
