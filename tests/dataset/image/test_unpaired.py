"""Two sides shuffled on their own, exact by number."""

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.base import Dataset
from aiexp.dataset.image.unpaired import Side, Sides, UnpairedDataset
from aiexp.errors import ConfigError, DataError

Batch = dict[str, torch.Tensor]


def make_side(count: int, tag: str, first: int = 0, shape: tuple[int, int, int] = (3, 4, 4)) -> Side:
    """Pictures whose every pixel is their own number, `first` upwards."""
    numbers = torch.arange(first, first + count, dtype=torch.uint8)
    images = numbers.view(-1, 1, 1, 1).expand(-1, *shape).contiguous()
    return Side(images=images, names=[f"{tag}{i}" for i in range(count)])


def make(a: int = 23, b: int = 10, **changes: Any) -> UnpairedDataset:
    splits = {
        "train": Sides(a=make_side(a, "a"), b=make_side(b, "b", 100)),
        "test": Sides(a=make_side(7, "t"), b=make_side(7, "t", 50)),
    }
    values: dict[str, Any] = {
        "splits": splits, "aligned": True, "source": "here", "batch_size": 4, "eval_batch_size": 3,
        "limit": None, "seed": 0,
    }  # fmt: skip
    return UnpairedDataset(**{**values, **changes})


def rows(batches: list[Batch], side: str, first: int = 0) -> list[int]:
    return [int(v) - first for batch in batches for v in batch[side][:, 0, 0, 0]]


def epoch(dataset: UnpairedDataset, number: int) -> list[Batch]:
    n = dataset.batches_per_epoch()
    return list(islice(dataset.train_batches(number * n), n))


def test_batches_are_what_the_contract_says() -> None:
    dataset = make()
    assert isinstance(dataset, Dataset)
    assert (dataset.channels, dataset.image_size, dataset.batch_size, dataset.aligned) == (3, 4, 4, True)
    for batch in islice(dataset.train_batches(0), 12):
        size = len(batch["a"])
        assert set(batch) == {"a", "b", "seeds_a", "seeds_b"}
        assert batch["a"].shape == batch["b"].shape == (size, 3, 4, 4)
        assert batch["a"].dtype == batch["b"].dtype == torch.uint8
        for seeds in (batch["seeds_a"], batch["seeds_b"]):
            assert (seeds.shape, seeds.dtype) == ((size,), torch.int64)
            assert (seeds >= 0).all()
    assert [len(batch["a"]) for batch in epoch(dataset, 0)] == [4, 4, 4, 4, 4, 3]
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [23, 0, 7]
    assert (dataset.names("eval"), list(dataset.eval_batches("eval"))) == ([], [])


@pytest.mark.parametrize(("a", "b"), [(23, 10), (10, 23), (8, 8)])
def test_an_epoch_goes_through_the_longer_side_once(a: int, b: int) -> None:
    dataset = make(a, b)
    assert dataset.num_examples("train") == max(a, b)
    epochs = [epoch(dataset, number) for number in range(3)]
    orders = [(rows(e, "a"), rows(e, "b", 100)) for e in epochs]
    for order_a, order_b in orders:
        for order, count in ((order_a, a), (order_b, b)):
            times = Counter(order)
            assert set(times) == set(range(count))
            assert max(times.values()) - min(times.values()) == (0 if max(a, b) % count == 0 else 1)
            # Nothing comes again before the side is used up.
            assert sorted(order[:count]) == list(range(count))
    assert orders[0][0] != orders[1][0] != orders[2][0]
    assert orders[0][1] != orders[1][1] != orders[2][1]


def test_the_sides_are_shuffled_independently() -> None:
    dataset = make(20, 20)
    pairs = [
        set(zip(rows(e, "a"), rows(e, "b", 100), strict=True)) for e in (epoch(dataset, 0), epoch(dataset, 1))
    ]
    assert rows(epoch(dataset, 0), "a") != rows(epoch(dataset, 0), "b", 100)
    assert len(pairs[0] & pairs[1]) < 10  # other partners every epoch
    assert rows(epoch(dataset, 0), "a") != rows(epoch(make(20, 20, seed=1), 0), "a")
    # Side A does not notice another side B.
    other = make(20, 20, splits={"train": Sides(a=make_side(20, "a"), b=make_side(13, "b", 100))})
    assert rows(epoch(dataset, 3), "a") == rows(epoch(other, 3), "a")


@pytest.mark.parametrize("start", [0, 1, 5, 6, 7, 1000])
def test_a_batch_depends_on_its_number_only(start: int) -> None:
    fresh = list(islice(make().train_batches(start), 9))
    dataset = make()
    next(dataset.train_batches(3))
    torch.manual_seed(start)
    np.random.seed(start)
    again = [next(dataset.train_batches(start + i)) for i in range(9)]
    assert all(torch.equal(x[k], y[k]) for x, y in zip(fresh, again, strict=True) for k in x)


def test_a_batch_is_the_callers_own() -> None:
    dataset = make()
    next(dataset.train_batches(0))["a"].zero_()
    for batch in dataset.eval_batches("test"):
        batch["b"].zero_()
    assert dataset.fingerprint() == make().fingerprint()


def test_every_occurrence_has_randomness_of_its_own() -> None:
    batches = [batch for number in range(20) for batch in epoch(make(23, 2), number)]
    seeds = torch.cat([batch[side] for batch in batches for side in ("seeds_a", "seeds_b")])
    assert len(seeds) == len(seeds.unique()) == 2 * 20 * 23
    by_row = {
        r: s
        for e in (epoch(make(), 4),)
        for b in e
        for r, s in zip(rows([b], "a"), b["seeds_a"].tolist(), strict=True)
    }
    larger = {
        r: s
        for b in epoch(make(batch_size=7), 4)
        for r, s in zip(rows([b], "a"), b["seeds_a"].tolist(), strict=True)
    }
    assert by_row == larger  # the batch size changes nothing for an example


def test_evaluation_pairs_by_position_up_to_the_shorter_side() -> None:
    splits = {**make_splits(), "eval": Sides(a=make_side(9, "x"), b=make_side(5, "y", 60))}
    dataset = make(splits=splits, aligned=False)
    batches = list(dataset.eval_batches("eval"))
    assert [b["index"].tolist() for b in batches] == [[0, 1, 2], [3, 4]]
    assert (rows(batches, "a"), rows(batches, "b", 60)) == ([0, 1, 2, 3, 4],) * 2
    assert set(batches[0]) == {"a", "b", "index"}
    assert dataset.num_examples("eval") == 5
    assert (dataset.names("eval"), dataset.names("eval", "b")) == (
        [f"x{i}" for i in range(9)],
        [f"y{i}" for i in range(5)],
    )


def make_splits() -> dict[str, Sides]:
    return {"train": Sides(a=make_side(12, "a"), b=make_side(12, "b", 100))}


def test_limit_keeps_pairs_together_and_follows_names() -> None:
    dataset = make(limit=5)
    assert [dataset.num_examples(s) for s in ("train", "test")] == [5, 5]
    assert dataset.names("test", "a") == dataset.names("test", "b") == sorted(dataset.names("test"))
    batch = torch.cat([b["b"] - b["a"] for b in dataset.eval_batches("test")])
    assert (batch == 50).all()
    assert set(make(limit=3).names("train", "b")) < set(dataset.names("train", "b"))
    assert make(limit=99).fingerprint() == make().fingerprint() != dataset.fingerprint()


def test_fingerprint_follows_the_data_alone() -> None:
    splits = make_splits()
    train, swapped = splits["train"], Sides(a=splits["train"].b, b=splits["train"].a)
    brighter = Sides(a=Side(images=train.a.images + 1, names=train.a.names), b=train.b)
    variants = [
        {"train": train},
        {"train": swapped},
        {"train": brighter},
        {"train": train, "eval": train},
        {"train": train, "test": train},
    ]
    prints = {make(splits=v, aligned=False).fingerprint() for v in variants}
    assert len(prints) == 5
    assert make(seed=5, batch_size=1, eval_batch_size=1).fingerprint() == make().fingerprint()


def test_unusable_sides() -> None:
    train = make_splits()["train"]
    with pytest.raises(DataError, match="side B of split train has no pictures"):
        make(splits={"train": Sides(a=train.a, b=make_side(0, "b"))})
    with pytest.raises(DataError, match="split train differ in shape"):
        make(splits={"train": Sides(a=train.a, b=make_side(3, "b", shape=(1, 4, 4)))})
    other = make_side(3, "x", shape=(3, 8, 8))
    with pytest.raises(DataError, match="split test differ in shape"):
        make(splits={"train": train, "test": Sides(a=other, b=other)})
    with pytest.raises(DataError, match="do not show the same things"):
        make(splits={"train": train, "test": Sides(a=make_side(3, "x"), b=make_side(3, "y"))})
    with pytest.raises(ConfigError, match=r"no split 'tests'. Did you mean 'test'"):
        make().num_examples("tests")
