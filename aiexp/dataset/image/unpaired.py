"""Two collections of pictures without correspondence, each shuffled on its own."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import example_seeds, shuffled
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
    """

    images: Tensor
    names: list[str]

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
    """Pictures of two kinds in memory as uint8; training never sees which belong together.

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

    def images(self, split: str, side: SideName) -> Tensor:
        """(N, C, H, W) uint8: the pictures of one side of `split`."""
        return self._side(split, side).images

    def names(self, split: str, side: SideName = "a") -> list[str]:
        """(N,) the name of each picture of one side of `split`; both sides have the same when aligned."""
        return self._side(split, side).names

    def batches_per_epoch(self) -> int:
        """Training batches in one epoch."""
        return -(-self.num_examples("train") // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        sides = self._splits["train"]
        per_epoch, size = self.batches_per_epoch(), self.batch_size
        orders = [
            _Order(len(side), self.num_examples("train"), self._seed, number)
            for number, side in enumerate((sides.a, sides.b))
        ]
        for number in itertools.count(start):
            epoch, position = divmod(number, per_epoch)
            places = slice(position * size, (position + 1) * size)
            (rows_a, seeds_a), (rows_b, seeds_b) = (order.at(epoch, places) for order in orders)
            yield {
                "a": sides.a.images[rows_a],
                "b": sides.b.images[rows_b],
                "seeds_a": seeds_a,
                "seeds_b": seeds_b,
            }

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """The pairs of `split` once, in the order of the names."""
        a, b = self.images(split, "a"), self.images(split, "b")
        index, size = torch.arange(self.num_examples(split)), self.eval_batch_size
        groups = (index[start : start + size] for start in range(0, len(index), size))
        return ({"a": a[rows], "b": b[rows], "index": rows} for rows in groups)

    def fingerprint(self) -> str:
        """sha256 (hex) over the pictures and their split and side, in order."""
        digest = hashlib.sha256(f"aligned {self.aligned}\n".encode())
        for split in SPLITS:
            for side in ("a", "b"):
                images = self.images(split, side)
                digest.update(f"{split} {side} {tuple(images.shape)}\n".encode())
                digest.update(images.contiguous().numpy().data)
        return digest.hexdigest()

    def _side(self, split: str, side: SideName) -> Side:
        check_split(split)
        if split not in self._splits:
            return Side(images=self.images("train", side)[:0], names=[])
        return self._splits[split].a if side == "a" else self._splits[split].b


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


def first_by_hash(names: list[str], count: int) -> list[int]:
    """The rows of `count` names, ascending: those whose sha256 is lowest, wherever they stand."""
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest() for name in names]
    return sorted(sorted(range(len(names)), key=lambda row: hashes[row])[:count])


def _limited(side: Side, limit: int | None) -> Side:
    """At most `limit` pictures, first by the hash of their names, in their order."""
    if limit is None or limit >= len(side):
        return side
    rows = first_by_hash(side.names, limit)
    return Side(images=side.images[rows], names=[side.names[row] for row in rows])


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
        if aligned and split != "train" and sides.a.names != sides.b.names:
            raise DataError(f"the pairs of split {split} do not show the same things", where=source)
