"""Two collections of pictures without correspondence, each shuffled on its own."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import example_seeds, shuffled
from aiexp.dataset.image.pixels import LazyPixels, Pixels, take, without_problems, workers_of
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.errors import DataError
from aiexp.ranges import PositiveInt

# Tensor letters: N pictures of a side, B batch, C channels, H height, W width.

SideName = Literal["a", "b"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Pictures of one kind.

    Args:
        images: (N, C, H, W) uint8.
        names: (N,) what each picture is called: a file or a subject.
        digests: (N, D) uint8, what tells the pictures apart as they lie in files; None: their pixels do.
    """

    images: Pixels
    names: Sequence[str]
    digests: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """The two sides of one split.

    Args:
        a: One kind of pictures.
        b: The other kind, of the same size and channels.
    """

    a: Side
    b: Side


class UnpairedBatching(Batching):
    """Arguments that data sets of unpaired pictures share; an example is a picture of each side.

    Args:
        limit: At most so many pictures of each side of each split, first by the hash of their names; None
            for all.
    """

    limit: PositiveInt | None


@final
class UnpairedDataset:
    """Pictures of two kinds as uint8, decoded at the start or when needed; training never sees pairs.

    One epoch has as many examples as the longer side has pictures. In it every picture of the longer side
    occurs once; the shorter side is shuffled again each time it is used up, so the counts of its pictures
    differ by at most one. Both orders are drawn anew every epoch, independently of each other.

    A training batch is a dict (B examples; the last one of an epoch may be smaller):
        a, b: (B, C, H, W) uint8.
        seeds_a, seeds_b: (B,) int64 in [0, 2^63), the randomness of each picture at this occurrence.

    An evaluation batch pairs the sides by position and ends with the shorter one; the pictures that the
    longer side has beyond it are not seen:
        a, b: (B, C, H, W) uint8.
        index: (B,) int64, position of the pair in the split.

    A picture that turns out to be damaged when it is decoded and may be skipped is replaced in training as in
    `ImageDataset`; an evaluation goes without its pair.

    Args:
        splits: Sides of "train" and, where they exist, "eval" and "test".
        aligned: Whether the pairs of "eval" and "test" show the same thing.
        source: Folder or data set, for messages.
        batching: See `UnpairedBatching`.

    Raises:
        DataError: a side is empty, or the pictures differ in size or channels.
    """

    def __init__(
        self,
        *,
        splits: dict[str, Sides],
        aligned: bool,
        source: str,
        **batching: Unpack[UnpairedBatching],
    ) -> None:
        limit = batching["limit"]
        self._splits = {
            split: Sides(a=_limited(sides.a, limit), b=_limited(sides.b, limit))
            for split, sides in splits.items()
        }
        _check(self._splits, aligned, source)
        shape = self._splits["train"].a.images.shape
        self.channels, self.image_size = shape[1], shape[2]
        self.aligned = aligned
        self.batch_size = batching["batch_size"]
        self.eval_batch_size = batching["eval_batch_size"]
        self._seed = batching["seed"]

    def num_examples(self, split: str) -> int:
        """Examples of an epoch (train) or pairs (eval, test); 0 when the split does not exist."""
        lengths = len(self.names(split, "a")), len(self.names(split, "b"))
        return max(lengths) if split == "train" else min(lengths)

    def images(self, split: str, side: SideName) -> Pixels:
        """(N, C, H, W) uint8: the pictures of one side of `split`."""
        return self._side(split, side).images

    def names(self, split: str, side: SideName = "a") -> Sequence[str]:
        """(N,) the name of each picture of one side of `split`; both sides have the same when aligned."""
        return self._side(split, side).names

    def batches_per_epoch(self) -> int:
        """Training batches in one epoch."""
        return -(-self.num_examples("train") // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        sides = self._splits["train"]
        make = _TrainBatches(sides, self.batch_size, self._seed)
        return _made(make, sides, start=start, stop=None, name="training")

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """The pairs of `split` once, in the order of the names."""
        sides = Sides(a=self._side(split, "a"), b=self._side(split, "b"))
        make = _EvalBatches(sides, self.eval_batch_size)
        count = -(-make.num_pairs // self.eval_batch_size)
        return (batch for batch in _made(make, sides, start=0, stop=count, name=split) if len(batch["index"]))

    def fingerprint(self) -> str:
        """sha256 (hex) over the pictures or their files, and their split and side, in order."""
        digest = hashlib.sha256(f"aligned {self.aligned}\n".encode())
        for split in SPLITS:
            for name in ("a", "b"):
                side = self._side(split, name)
                digest.update(f"{split} {name} {tuple(side.images.shape)}\n".encode())
                digest.update(_content(side))
        return digest.hexdigest()

    def _side(self, split: str, side: SideName) -> Side:
        check_split(split)
        if split not in self._splits:
            shape = self.images("train", side).shape[1:]
            return Side(images=torch.empty((0, *shape), dtype=torch.uint8), names=[])
        return self._splits[split].a if side == "a" else self._splits[split].b


# A batch, and what is wrong with pictures that it lacks, by name.
_Batch = tuple[dict[str, Tensor], dict[str, str]]


class _TrainBatches:
    """Training batch `k` as a pure function of `k`; remembers only the orders of one epoch."""

    def __init__(self, sides: Sides, batch_size: int, seed: int) -> None:
        num_examples = max(len(sides.a), len(sides.b))
        self._sides, self._batch_size = sides, batch_size
        self._per_epoch = -(-num_examples // batch_size)
        self._orders = [
            _Order(len(side), num_examples, seed, number) for number, side in enumerate((sides.a, sides.b))
        ]

    def __call__(self, number: int) -> _Batch:
        epoch, position = divmod(number, self._per_epoch)
        places = slice(position * self._batch_size, (position + 1) * self._batch_size)
        (rows_a, seeds_a), (rows_b, seeds_b) = (order.at(epoch, places) for order in self._orders)
        a = take(self._sides.a.images, rows_a, replace=True)
        b = take(self._sides.b.images, rows_b, replace=True)
        batch = {"a": a.pixels, "b": b.pixels, "seeds_a": seeds_a, "seeds_b": seeds_b}
        return batch, {**a.problems, **b.problems}


class _EvalBatches:
    """Evaluation batch `k` as a pure function of `k`."""

    def __init__(self, sides: Sides, batch_size: int) -> None:
        self._sides, self._batch_size = sides, batch_size
        self.num_pairs = min(len(sides.a), len(sides.b))

    def __call__(self, number: int) -> _Batch:
        first = number * self._batch_size
        rows = torch.arange(first, min(first + self._batch_size, self.num_pairs))
        a = take(self._sides.a.images, rows, replace=False)
        b = take(self._sides.b.images, rows, replace=False)
        is_in_a, is_in_b = torch.isin(a.rows, b.rows), torch.isin(b.rows, a.rows)
        batch = {"a": a.pixels[is_in_a], "b": b.pixels[is_in_b], "index": a.rows[is_in_a]}
        return batch, {**a.problems, **b.problems}


def _made(
    make: Callable[[int], _Batch], sides: Sides, *, start: int, stop: int | None, name: str
) -> Iterator[dict[str, Tensor]]:
    """The batches of `make`, by workers where pictures have to be decoded."""
    num_workers = max(workers_of(sides.a.images), workers_of(sides.b.images))
    if stop is not None:
        num_workers = min(num_workers, stop)
    batches = ordered_batches(make, start=start, stop=stop, num_workers=num_workers, name=name)
    return without_problems(batches, sides.a.images)


def _content(side: Side) -> memoryview:
    """What makes the pictures these and no others."""
    if side.digests is not None:
        return side.digests.data
    assert not isinstance(side.images, LazyPixels)
    return side.images.contiguous().numpy().data


class _Order:
    """The order of one side in any epoch; remembers only the last one.

    Args:
        num_images: Pictures of the side.
        num_examples: Examples of an epoch.
        seed: Of the data order.
        number: 0 for side A, 1 for side B.
    """

    def __init__(self, num_images: int, num_examples: int, seed: int, number: int) -> None:
        self._num_images, self._num_examples = num_images, num_examples
        self._seed, self._number = seed, number
        self._epoch, self._draws = -1, np.zeros(0, np.int64)

    def at(self, epoch: int, places: slice) -> tuple[Tensor, Tensor]:
        """(B,) int64 rows of the side at these places of `epoch`, and (B,) int64 seeds."""
        if epoch != self._epoch:
            self._draws, self._epoch = self._draw(epoch), epoch
        draws = self._draws[places]
        # Even for A and odd for B: no two pictures of an epoch have the same seed.
        seeds = example_seeds(2 * draws + self._number, self._seed, epoch)
        return torch.from_numpy(draws % self._num_images), torch.from_numpy(seeds)

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        """The rows of an epoch; the k-th time through the side each row is raised by k times its length."""
        times = -(-self._num_examples // self._num_images)
        rounds = [
            shuffled(self._num_images, self._seed, 2 * (epoch * times + k) + self._number)
            + k * self._num_images
            for k in range(times)
        ]
        return np.concatenate(rounds)[: self._num_examples]


def first_by_hash(names: Sequence[str], count: int) -> list[int]:
    """The rows of `count` names, ascending: those whose sha256 is lowest, wherever they stand."""
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
    return sorted(sorted(range(len(names)), key=lambda row: hashes[row])[:count])


def _limited(side: Side, limit: int | None) -> Side:
    """At most `limit` pictures, first by the hash of their names, in their order."""
    if limit is None or limit >= len(side):
        return side
    rows = first_by_hash(side.names, limit)
    digests = None if side.digests is None else side.digests[rows]
    names = [side.names[row] for row in rows]
    return Side(images=side.images[torch.tensor(rows)], names=names, digests=digests)


def _check(splits: dict[str, Sides], aligned: bool, source: str) -> None:
    """Stops data that cannot make batches."""
    for split, sides in splits.items():
        for name, side in (("A", sides.a), ("B", sides.b)):
            if not len(side):
                raise DataError(f"side {name} of split {split} has no pictures", where=source)
        shapes = [tuple(side.images.shape[1:]) for side in (splits["train"].a, sides.a, sides.b)]
        if len(set(shapes)) > 1:
            raise DataError(
                f"the pictures of split {split} differ in shape: {' and '.join(map(str, shapes))}",
                where=source,
            )
        if aligned and split != "train" and list(sides.a.names) != list(sides.b.names):
            raise DataError(f"the pairs of split {split} do not show the same things", where=source)
