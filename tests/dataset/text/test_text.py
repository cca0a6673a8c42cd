from itertools import islice

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from aiexp.dataset.base import Dataset
from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.examples import Examples
from aiexp.errors import ConfigError, DataError
from tests.dataset.conftest import SETTINGS, make_examples


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def rows(batches: list[dict[str, torch.Tensor]]) -> list[int]:
    return [row for batch in batches for row in batch["index"].tolist()]


def test_batches_are_what_the_contract_says(make_dataset, tokenizer: Tokenizer) -> None:
    dataset = make_dataset()
    assert isinstance(dataset, Dataset)
    for batch in [*islice(dataset.train_batches(0), 30), *dataset.eval_batches("test")]:
        assert {k: v.dtype for k, v in batch.items()} == {
            "input_ids": torch.int64,
            "attention_mask": torch.bool,
            "labels": torch.int64,
            "index": torch.int64,
        }
        assert batch["attention_mask"].sum(1).max() == batch["input_ids"].shape[1]  # no wider than needed
    batch = next(dataset.train_batches(5))
    for i, row in enumerate(batch["index"].tolist()):
        expected = tokenizer.encode(dataset.texts("train")[row]).ids[:32]
        mask = batch["attention_mask"][i]
        assert batch["input_ids"][i][mask].tolist() == expected
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)  # padding on the right
        assert (batch["input_ids"][i][~mask] == 0).all()
        assert batch["labels"][i] == dataset.labels("train")[row]


def test_every_epoch_has_every_example_once_in_another_order(make_dataset) -> None:
    dataset = make_dataset(seed=3)
    n = dataset.batches_per_epoch()
    assert n == 26
    batches = list(islice(dataset.train_batches(0), 3 * n))
    epochs = [rows(batches[i * n : (i + 1) * n]) for i in range(3)]
    assert all(sorted(epoch) == list(range(203)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert sorted(len(b["index"]) for b in batches[:n]) == [3] + [8] * 25
    assert epochs[0] != rows(list(islice(make_dataset(seed=4).train_batches(0), n)))


@pytest.mark.parametrize("start", [0, 1, 25, 26, 27, 1000])
def test_a_batch_depends_on_its_number_only(make_dataset, start: int) -> None:
    fresh = list(islice(make_dataset().train_batches(start), 3))
    dataset = make_dataset()
    next(dataset.train_batches(7))
    torch.manual_seed(start)
    np.random.seed(start)
    again = [next(dataset.train_batches(start + i)) for i in range(3)]
    assert all(map(same, fresh, again))
    if start < 100:
        walked = list(islice(make_dataset().train_batches(0), start + 3))[start:]
        assert all(map(same, fresh, walked))


def test_lengths_are_together_but_batches_come_in_random_order(make_dataset) -> None:
    dataset = make_dataset(count=400)
    batches = list(islice(dataset.train_batches(0), 50))
    tokens = sum(int(b["attention_mask"].sum()) for b in batches)
    assert tokens / sum(b["input_ids"].numel() for b in batches) > 0.93
    widths = [b["input_ids"].shape[1] for b in batches]
    assert abs(np.corrcoef(widths, range(50))[0, 1]) < 0.5
    # The partners of an example change from epoch to epoch.
    partners = [
        next(set(r) for b in islice(dataset.train_batches(50 * e), 50) if 0 in (r := b["index"].tolist()))
        for e in (0, 1)
    ]
    assert partners[0] != partners[1]


def test_evaluation_sees_every_example_once_whatever_the_batch_size(make_dataset) -> None:
    for size in (1, 16, 1000):
        dataset = make_dataset(eval_batch_size=size)
        assert sorted(rows(list(dataset.eval_batches("eval")))) == list(range(41))
    lengths = [b["input_ids"].shape[1] for b in make_dataset().eval_batches("eval")]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("model_tokens", [5, 8, 512])
def test_texts_are_cut_to_the_shorter_limit(make_dataset, tokenizer: Tokenizer, model_tokens: int) -> None:
    dataset = make_dataset(max_tokens=8)
    tokenizer.enable_padding(pad_id=3)
    tokenizer.enable_truncation(7)
    dataset.tokenize(tokenizer, model_tokens)
    assert tokenizer.truncation["max_length"] == 7
    assert tokenizer.padding["pad_id"] == 3
    tokenizer.no_padding()
    tokenizer.no_truncation()
    widest = max(b["input_ids"].shape[1] for b in dataset.eval_batches("eval"))
    assert widest == min(8, model_tokens)
    first = next(dataset.eval_batches("eval"))
    assert (first["input_ids"][:, 0] == 1).all()  # [CLS]
    assert (first["input_ids"][:, -1] == 2).all()  # [SEP] survives the cut
    padding = [b["input_ids"][~b["attention_mask"]] for b in dataset.eval_batches("eval")]
    assert (torch.cat(padding) == 3).all()


def test_width_is_a_multiple(make_dataset) -> None:
    batches = list(islice(make_dataset(pad_multiple=8).train_batches(0), 20))
    for batch in batches:
        longest = int(batch["attention_mask"].sum(1).max())
        assert batch["input_ids"].shape[1] == -(-longest // 8) * 8, "the next multiple, no wider"
    assert any(int(b["attention_mask"].sum(1).max()) % 8 for b in batches), "nothing had to be padded"


def test_batches_before_tokenizing_say_so() -> None:
    dataset = TextDataset(splits={"train": make_examples(9)}, class_names=["a", "b"], source="x", **SETTINGS)
    for ask in (lambda: dataset.train_batches(0), lambda: dataset.eval_batches("eval")):
        with pytest.raises(DataError, match="no tokens yet"):
            ask()


def test_facts(make_dataset) -> None:
    dataset = make_dataset(count=21)
    assert dataset.class_counts().tolist() == [11, 10]
    assert dataset.class_counts().dtype == np.int64
    assert (dataset.num_classes, dataset.class_names, dataset.batch_size) == (2, ["no", "yes"], 8)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [21, 41, 17]
    with pytest.raises(ConfigError, match=r"no split 'tests'. Did you mean 'test'"):
        dataset.num_examples("tests")


def test_split_that_does_not_exist_is_empty() -> None:
    dataset = TextDataset(splits={"train": make_examples(9)}, class_names=["a", "b"], source="x", **SETTINGS)
    assert (dataset.num_examples("test"), dataset.texts("eval"), dataset.labels("eval").shape) == (
        0,
        [],
        (0,),
    )


def test_fingerprint_follows_the_data_alone(make_dataset) -> None:
    first = make_dataset(count=20).fingerprint()
    assert first == make_dataset(count=20, batch_size=4, seed=9, max_tokens=9).fingerprint()
    train, other = make_examples(20), make_examples(6, tag="e")
    changed = Examples(texts=[*train.texts[:-1], "other"], labels=train.labels)
    relabelled = Examples(texts=train.texts, labels=1 - train.labels)
    variants = [
        {"train": train},
        {"train": changed},
        {"train": relabelled},
        {"train": train, "eval": other},
        {"train": train, "test": other},
    ]
    prints = {first, *(make_dataset(splits=splits).fingerprint() for splits in variants)}
    assert len(prints) == 6


def test_limit_keeps_the_shares_of_the_classes(make_dataset) -> None:
    labels = np.array([0] * 150 + [1] * 50)
    splits = {"train": Examples(texts=make_examples(200).texts, labels=labels), "eval": make_examples(5)}
    dataset = make_dataset(splits=splits, limit=20)
    assert dataset.class_counts().tolist() == [15, 5]
    assert dataset.num_examples("eval") == 5


@pytest.mark.parametrize(
    ("texts", "labels", "names", "message"),
    [
        ([], [], ["a", "b"], "training split is empty"),
        (["x", "y"], [0, 0], ["a", "b"], "only one class in the training split: 'a'"),
        (["x", "y"], [0, 2], ["a", "b"], "label 2 of split train is out of range"),
        (["x", "y"], [0, -1], ["a", "b"], "label -1"),
        (["x", "y"], [0, 1], ["a", "b", "c"], "2 training examples are fewer than the 3 classes"),
        ([" ", ""], [0, 1], ["a", "b"], "every text of split train is empty"),
        (["x", "y"], [0, 1], ["a", "a"], "same name"),
    ],
)
def test_unusable_examples(texts, labels, names, message: str) -> None:
    examples = Examples(texts=texts, labels=np.array(labels, np.int64))
    with pytest.raises(DataError, match=message) as caught:
        TextDataset(splits={"train": examples}, class_names=names, source="mine.csv", **SETTINGS)
    assert caught.value.where == "mine.csv"
    assert caught.value.exit_code == 3
