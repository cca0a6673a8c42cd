"""Any data set of torch: its random examples, too, are functions of the batch's number."""

import random
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from aiexp.dataset.torch_dataset import TorchDataset
from aiexp.errors import AiexpError, ConfigError
from aiexp.runs.batch_form import leaves
from tests.dataset.built_in import values_of


class Noisy(Dataset[Any]):
    """Draws from all three global generators, of examples of different lengths."""

    classes = ("even", "odd")

    def __init__(self, count: int = 37) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        drawn = [random.random(), np.random.rand(), float(torch.rand(()))]
        return torch.tensor([float(index), *drawn] + [1.0] * (index % 3)), index % 2


def padded(examples: list[Any], width: int) -> dict[str, torch.Tensor]:
    """A collate function with a setting of its own."""
    x = torch.zeros(len(examples), width)
    for row, (values, _) in enumerate(examples):
        x[row, : len(values)] = values
    return {"x": x, "labels": torch.tensor([label for _, label in examples])}


def make(train: Any = None, **changes: Any) -> TorchDataset:
    settings = values_of("torch_dataset") | {
        "train": Noisy() if train is None else train,
        "collate": partial(padded, width=6),
    }
    return TorchDataset(**(settings | {"batch_size": 5, "eval_batch_size": 8} | changes))


def same(one: Any, other: Any) -> bool:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_is_a_function_of_its_number_whoever_makes_it(num_workers: int) -> None:
    dataset = make()
    wanted = list(islice(dataset.train_batches(0), 14))
    assert len(wanted) > 2 * dataset.batches_per_epoch()
    torch.rand(3), np.random.rand(), random.random()
    again = make(num_workers=num_workers)
    for batch, one in zip(wanted[4:], again.train_batches(4), strict=False):
        assert same(batch, one)
    epoch = torch.cat([batch["x"][:, 0] for batch in wanted[: dataset.batches_per_epoch()]])
    assert len(set(epoch.tolist())) == dataset.num_examples("train")
    assert same(next(dataset.eval_batches("test")), next(again.eval_batches("test")))


def test_the_random_numbers_of_the_run_are_left_as_they_were() -> None:
    batches = make().train_batches(0)
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    next(batches)
    assert torch.equal(torch.rand(4), expected)
    assert make().fingerprint() == make().fingerprint()


def test_splits_cover_the_examples_and_names_come_from_the_data() -> None:
    dataset = make()
    seen = [batch["x"][:, 0] for split in ("train", "eval", "test") for batch in dataset.eval_batches(split)]
    assert sorted(torch.cat(seen).tolist()) == list(range(37))
    assert (dataset.class_names, dataset.feature_shape) == (["even", "odd"], [6])
    assert make(test=Noisy(4), limit=3).num_examples("test") == 3
    given = make(test=Noisy(20))  # then nothing is cut off for it
    counts = [given.num_examples(split) for split in ("train", "eval", "test")]
    assert (counts[0] + counts[1], counts[2]) == (37, 20)


def test_a_limit_takes_examples_from_everywhere() -> None:
    data = TensorDataset(torch.arange(100.0)[:, None], torch.arange(100) // 50)  # sorted by class
    dataset = make(data, collate=None, limit=10, eval_fraction=0.0, test_fraction=0.0)
    batches = list(dataset.eval_batches("train"))
    assert sum(len(batch["x"]) for batch in batches) == 10
    labels = torch.cat([batch["labels"] for batch in batches])
    assert 2 <= int(labels.sum()) <= 8
    smaller = make(data, collate=None, limit=5, eval_fraction=0.0, test_fraction=0.0)
    assert set(next(smaller.eval_batches("train"))["x"].flatten().tolist()) < {
        x for batch in batches for x in batch["x"].flatten().tolist()
    }


def test_parts_of_a_tuple_get_names() -> None:
    data = TensorDataset(torch.randn(20, 4), torch.arange(20) % 2)
    batch = next(make(data, collate=None).train_batches(0))
    assert (batch["x"].shape, batch["labels"].dtype) == ((5, 4), torch.int64)
    assert isinstance(next(make(data, collate=None, names=None).train_batches(0)), list)
    with pytest.raises(AiexpError, match="1 names are given for a batch of 2 parts"):
        make(data, collate=None, names=["x"])


def test_what_cannot_be_asked_by_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="generator has no __len__") as caught:
        make(example for example in range(3))
    assert caught.value.where == "train"
    with pytest.raises(AiexpError, match="has no examples"):
        make(Noisy(0))


class Broken(Noisy):
    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise OSError("cannot read 7.wav")
        return super().__getitem__(index)


def test_an_example_that_fails_is_named_with_its_batch() -> None:
    with pytest.raises(AiexpError, match=r"training batch \d cannot be made: OSError: cannot read 7.wav"):
        list(islice(make(Broken(), eval_fraction=0.0, test_fraction=0.0).train_batches(0), 8))
