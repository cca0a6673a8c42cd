"""ImageDataset: which batches it makes, and which data it refuses."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.base import Dataset
from aiexp.dataset.draws import example_seeds, shuffled
from aiexp.dataset.image.dataset import ImageDataset, Images
from aiexp.dataset.subset import even_subset
from aiexp.errors import ConfigError, DataError

SETTINGS: dict[str, Any] = {
    "class_names": ["a", "b", "c"],
    "source": "here",
    "batch_size": 8,
    "eval_batch_size": 5,
    "drop_last": False,
    "limit": None,
    "mean": [0.5],
    "std": [0.25],
    "seed": 0,
}


def make_images(count: int, channels: int = 1, size: int = 4, seed: int = 0) -> Images:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, channels, size, size), np.uint8)
    return Images(images=torch.from_numpy(pixels), labels=torch.arange(count) % 3)


def make_splits(count: int = 43) -> dict[str, Images]:
    return {"train": make_images(count), "test": make_images(17, seed=1)}


def make(count: int = 43, **changes: Any) -> ImageDataset:
    return ImageDataset(**{"splits": make_splits(count), **SETTINGS, **changes})


def take(dataset: ImageDataset, start: int, count: int) -> list[dict[str, torch.Tensor]]:
    return list(islice(dataset.train_batches(start), count))


def rows_of(batches: list[dict[str, torch.Tensor]]) -> list[int]:
    return [row for batch in batches for row in batch["index"].tolist()]


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_is_a_dataset_with_what_models_ask_for() -> None:
    dataset = make()
    assert isinstance(dataset, Dataset)
    assert (dataset.channels, dataset.image_size, dataset.num_classes) == (1, 4, 3)
    assert dataset.class_counts().tolist() == [15, 14, 14]
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [43, 0, 17]
    assert dataset.names("test")[16] == "test[16]"
    assert dataset.images("eval").shape == (0, 1, 4, 4)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [8] * 5 + [3]), (True, [8] * 5)])
def test_an_epoch_has_every_row_once(drop_last: bool, sizes: list[int]) -> None:
    dataset = make(drop_last=drop_last)
    assert dataset.batches_per_epoch() == len(sizes)
    for epoch in range(3):
        batches = take(dataset, epoch * len(sizes), len(sizes))
        assert [len(b["labels"]) for b in batches] == sizes
        rows = rows_of(batches)
        assert len(set(rows)) == len(rows)
        assert drop_last or sorted(rows) == list(range(43))
        assert rows != sorted(rows)


def test_a_batch_holds_its_rows() -> None:
    dataset, given = make(), make_splits()["train"]
    for batch in take(dataset, 4, 4):
        assert {k: v.dtype for k, v in batch.items()} == {
            "images": torch.uint8,
            "labels": torch.int64,
            "index": torch.int64,
            "seeds": torch.int64,
        }
        assert torch.equal(batch["images"], given.images[batch["index"]])
        assert torch.equal(batch["labels"], given.labels[batch["index"]])


def test_any_batch_can_be_the_first() -> None:
    batches = take(make(), 0, 20)
    for start in (0, 1, 5, 6, 13, 17):
        assert all(
            same(a, b) for a, b in zip(take(make(), start, 3), batches[start : start + 3], strict=True)
        )


def test_far_batches_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.dataset import order

    asked: list[int] = []

    def counted(count: int, seed: int, epoch: int) -> Any:
        asked.append(epoch)
        return shuffled(count, seed, epoch)

    monkeypatch.setattr(order, "shuffled", counted)
    take(make(), 6 * 1_000_000 + 4, 3)
    assert asked == [0, 1_000_000, 1_000_001]


def test_order_and_seeds_follow_seed_and_epoch() -> None:
    first, again, other = take(make(), 0, 12), take(make(), 0, 12), take(make(seed=1), 0, 12)
    assert all(map(same, first, again))
    assert rows_of(first[:6]) != rows_of(first[6:])
    assert rows_of(first) != rows_of(other)
    seeds = [s for b in first + other for s in b["seeds"].tolist()]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)
    # The same example in the same epoch has the same seed, whatever batch it is in.
    wide = {row: s for b in take(make(batch_size=43), 0, 1) for row, s in _pairs(b)}
    assert wide == {row: s for b in first[:6] for row, s in _pairs(b)}


def _pairs(batch: dict[str, torch.Tensor]) -> list[tuple[int, int]]:
    return list(zip(batch["index"].tolist(), batch["seeds"].tolist(), strict=True))


def test_seed_is_the_published_hash() -> None:
    def mixed(value: int) -> int:
        """The next output of splitmix64."""
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    assert mixed(0) == 0xE220A8397B1DCDAF, "as published"
    rows = np.array([0, 1, 10**12])
    expected = [mixed(row ^ mixed(mixed(7) ^ 3)) % 2**63 for row in rows.tolist()]
    assert example_seeds(rows, 7, 3).tolist() == expected
    bits = (example_seeds(np.arange(4000), 0, 0)[:, None] >> np.arange(63)) & 1
    assert np.abs(bits.mean(0) - 0.5).max() < 0.05


def test_order_never_changes_with_a_new_numpy() -> None:
    assert shuffled(10, 0, 0).tolist() == [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    assert sorted(shuffled(1000, 5, 2)) == list(range(1000))


def test_evaluation_goes_in_order_without_seeds() -> None:
    dataset = make()
    batches = list(dataset.eval_batches("test"))
    assert [len(b["labels"]) for b in batches] == [5, 5, 5, 2]
    assert rows_of(batches) == list(range(17))
    assert all(b.keys() == {"images", "labels", "index"} for b in batches)
    assert torch.equal(torch.cat([b["images"] for b in batches]), dataset.images("test"))
    assert list(dataset.eval_batches("eval")) == []


def test_the_data_are_held_once() -> None:
    splits = make_splits()
    dataset = ImageDataset(splits=splits, **SETTINGS)
    assert dataset.images("train").data_ptr() == splits["train"].images.data_ptr()
    small = ImageDataset(splits=make_splits(), **{**SETTINGS, "limit": 6}).images("train")
    assert small.untyped_storage().nbytes() == small.numel() == 6 * 16


def test_what_is_done_to_a_batch_does_not_reach_the_data() -> None:
    dataset = make()
    before = dataset.fingerprint()
    for batch in [*take(dataset, 0, 6), *dataset.eval_batches("test"), *dataset.eval_batches("train")]:
        for value in batch.values():
            value.zero_()
    assert dataset.fingerprint() == before
    assert rows_of(list(dataset.eval_batches("test"))) == list(range(17))


def test_fingerprint_follows_the_examples_only() -> None:
    base = make().fingerprint()
    assert make(batch_size=3, seed=9, mean=[0.1]).fingerprint() == base
    assert ImageDataset(splits=dict(reversed(make_splits().items())), **SETTINGS).fingerprint() == base
    pixel, label, moved = make_splits(), make_splits(), make_splits()
    pixel["test"].images[16, 0, 3, 3] ^= 1
    label["train"].labels[0] = 1
    moved["eval"] = moved.pop("test")
    others = [make(splits=s).fingerprint() for s in (pixel, label, moved)]
    others += [make(class_names=["a", "b", "x"]).fingerprint(), make(limit=40).fingerprint()]
    assert len({base, *others}) == 6


def test_limit_keeps_the_share_of_each_class() -> None:
    train = make_images(300)
    train.labels[:] = torch.tensor([0] * 150 + [1] * 90 + [2] * 60)
    dataset = make(splits={"train": train}, limit=20)
    assert dataset.class_counts().tolist() == [10, 6, 4]
    rows = [int(name[6:-1]) for name in dataset.names("train")]
    assert rows == sorted(rows)
    assert torch.equal(dataset.images("train"), train.images[rows])
    assert dataset.names("train") == make(splits={"train": train}, limit=20, seed=5).names("train")
    # From everywhere in the data, and inside every larger subset.
    assert max(rows[:10]) > 75 > min(rows[:10])
    assert set(rows) < set(even_subset(train.labels.numpy(), 50).tolist())
    kept = Images(images=train.images, labels=train.labels, names=[f"{i}.png" for i in range(300)])
    assert make(splits={"train": kept}, limit=20).names("train") == [f"{i}.png" for i in rows]


def test_one_mean_serves_every_channel() -> None:
    splits = {"train": make_images(9, channels=3)}
    dataset = make(splits=splits)
    assert (dataset.mean, dataset.std) == ([0.5] * 3, [0.25] * 3)
    assert make(splits=splits, mean=[0.1, 0.2, 0.3]).mean == [0.1, 0.2, 0.3]
    with pytest.raises(ConfigError, match="std has 2 numbers for pictures of 3 channel") as caught:
        make(splits=splits, std=[0.1, 0.2])
    assert caught.value.where == "std"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"mean": [0.1, 0.2, 0.3]}, "mean"),
        ({"batch_size": 44, "drop_last": True}, "batch_size"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**changes)
    assert caught.value.where == where


def changed(split: str, change: Callable[[Images], Images]) -> dict[str, Images]:
    splits = make_splits()
    return {**splits, split: change(splits[split])}


def relabelled(images: Images, label: int) -> Images:
    return Images(images=images.images, labels=torch.full_like(images.labels, label))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": make_images(5)}, "the training split is empty"),
        ({"train": make_images(0)}, "the training split is empty"),
        (changed("test", lambda s: relabelled(s, 3)), "label 3 of split test is out of range"),
        (changed("train", lambda s: relabelled(s, -1)), "label -1 of split train is out of range"),
        (changed("train", lambda s: relabelled(s, 1)), "only one class in the training split: 'b'"),
        (changed("test", lambda s: make_images(5, channels=3)), "pictures of split test are"),
        (changed("test", lambda s: make_images(5, size=6)), "pictures of split test are"),
        (changed("test", lambda s: Images(images=s.images[:-1], labels=s.labels)), "16 pictures, 17 labels"),
        (changed("test", lambda s: Images(images=s.images, labels=s.labels, names=[])), "and 0 names"),
        (changed("train", lambda s: Images(images=s.images.float(), labels=s.labels)), "float32 pixels"),
        (changed("train", lambda s: Images(images=s.images, labels=s.labels.int())), "int32 labels"),
        (changed("train", lambda s: Images(images=s.images[..., :2], labels=s.labels)), "instead of"),
        (changed("train", lambda s: Images(images=s.images[:, 0], labels=s.labels)), "instead of"),
        ({**make_splits(), "dev": make_images(5)}, "no split 'dev'"),
    ],
)
def test_data_that_cannot_be_used(splits: dict[str, Images], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(splits=splits)
    assert caught.value.where == "here"


def test_unknown_split_and_repeated_class() -> None:
    with pytest.raises(ConfigError, match=r"no split 'tset'\. Did you mean 'test'"):
        make().images("tset")
    with pytest.raises(DataError, match="same name"):
        make(class_names=["a", "b", "a"])
