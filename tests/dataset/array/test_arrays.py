"""Arrays in memory: splits that never move, batches that are functions of their number, clear refusals."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.array.dataset import ArrayDataset
from aiexp.dataset.array.packaged import packaged
from aiexp.errors import AiexpError, ConfigError
from tests.dataset.built_in import header_of, values_of

BATCHING: dict[str, Any] = {
    "batch_size": 8,
    "eval_batch_size": 16,
    "drop_last": False,
    "limit": None,
    "seed": 0,
}


def arrays(num: int = 101) -> dict[str, Any]:
    random = np.random.default_rng(0)
    x = random.normal(size=(num, 3, 2))
    return {
        "x": x,
        "labels": np.arange(num) % 3,
        "weight": torch.arange(num) / 7,
        "row": np.arange(num, dtype=np.uint8),
    }


def make(given: Any = None, **changes: Any) -> ArrayDataset:
    settings = {"eval_fraction": 0.2, "test_fraction": 0.1, **BATCHING}
    return ArrayDataset(arrays=arrays() if given is None else given, **(settings | changes))


def test_a_batch_is_a_copy_of_rows_and_a_function_of_its_number() -> None:
    dataset, again = make(), make()
    start = dataset.batches_per_epoch() - 1
    batches = list(islice(dataset.train_batches(0), 2 * start + 3))
    for batch, same in zip(batches[start:], again.train_batches(start), strict=False):
        assert all(torch.equal(batch[name], same[name]) for name in batch)
    whole = dataset.arrays("train")
    for name in ("x", "labels", "weight", "row"):
        assert torch.equal(batches[1][name], whole[name][batches[1]["index"]])
    assert {n: (t.dtype, *t.shape[1:]) for n, t in batches[1].items()} == {
        "x": (torch.float32, 3, 2), "labels": (torch.int64,), "weight": (torch.float32,),
        "row": (torch.uint8,), "index": (torch.int64,), "seeds": (torch.int64,),
    }  # fmt: skip
    first = torch.cat([batch["index"] for batch in batches[: start + 1]])
    assert sorted(first.tolist()) == list(range(dataset.num_examples("train")))
    batches[0]["x"].zero_()
    assert dataset.fingerprint() == again.fingerprint()


def test_splits_are_shares_of_each_class_that_no_seed_moves() -> None:
    dataset, other = make(), make(seed=5)
    rows = {split: dataset.arrays(split)["row"].tolist() for split in ("train", "eval", "test")}
    assert sorted(row for part in rows.values() for row in part) == list(range(101))
    assert {s: torch.bincount(dataset.arrays(s)["labels"]).tolist() for s in ("eval", "test")} == {
        "eval": [7, 7, 7], "test": [3, 3, 3]
    }  # fmt: skip
    assert dataset.fingerprint() == other.fingerprint()
    assert next(dataset.train_batches(0))["row"].tolist() != next(other.train_batches(0))["row"].tolist()
    given = {split: dataset.arrays(split) for split in rows}
    assert make(given).fingerprint() == dataset.fingerprint()
    assert make(eval_fraction=0.0).num_examples("eval") == 0
    small = make(limit=12)
    assert torch.bincount(small.arrays("train")["labels"]).tolist() == [4, 4, 4]


def test_an_evaluation_has_every_row_once_in_order() -> None:
    batches = list(make().eval_batches("eval"))
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(21))
    assert "seeds" not in batches[0]


def changed(**changes: Any) -> dict[str, Any]:
    return arrays(9) | changes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there are no arrays"),
        (changed(x=np.zeros(8)), "labels has 9 rows and x has 8"),
        (changed(x=np.full((9, 2), np.nan)), "x has a number that is not finite in row 0"),
        (changed(x=np.arange(9) * 1e38), "x has a number that is too large for float32 in row 4"),
        (changed(x=np.array(["a"] * 9)), "x holds <U1, not numbers"),
        (changed(x=3.0), "x is a single number"),
        (changed(labels=np.arange(9) - 1), "labels are no class numbers: int64 of shape (9,), the least -1"),
        (changed(labels=np.zeros((9, 2), int)), "labels are no class numbers"),
        (changed(labels=np.zeros(9, int)), "only one class in the training split"),
        (changed(index=np.zeros(9)), "an array is called 'index'"),
        ({"train": arrays(9), "test": changed(x=np.zeros((9, 5)))}, "x of test is float32 ('N', 5)"),
        ({"train": arrays(9), "dev": arrays(9)}, "there is no split 'dev'"),
        ({"eval": arrays(9)}, "there is nothing to train on"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(given: Any, message: str) -> None:
    with pytest.raises(AiexpError) as caught:
        make(given)
    assert message in caught.value.what


def test_other_refusals() -> None:
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        make(eval_fraction=0.6, test_fraction=0.4)
    with pytest.raises(ConfigError, match="do not fill one batch of 500"):
        make(batch_size=500, drop_last=True)
    with pytest.raises(AiexpError, match="2 classes are named, and there is a label 2"):
        make(class_names=["a", "b"])


def test_what_comes_with_scikit_learn_is_as_its_file_says() -> None:
    for name in ("digits", "wine", "breast_cancer", "diabetes"):
        dataset = packaged(**values_of(name))
        assert bool(dataset.num_targets) == (name == "diabetes") == (not dataset.class_names)
        assert len(dataset.feature_names) == dataset.feature_shape[0]
    digits = packaged(**values_of("digits"))
    assert all(f"{s} {digits.num_examples(s)}" in header_of("digits") for s in ("train", "eval", "test"))
