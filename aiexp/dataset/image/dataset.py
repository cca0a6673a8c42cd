"""An image data set: labelled pictures of one size in splits, in memory once as uint8 or decoded when needed.

Legend: N examples of a split, B examples of a batch, C channels, H and W pixels.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import example_seeds
from aiexp.dataset.image.pixels import LazyPixels, Pixels, take, without_problems, workers_of
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.order import Order
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.dataset.subset import even_subset
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import Length, Probability, Range


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Pictures of one split with their classes.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64, index into the class names.
        names: (N,) name of each picture, its file path for example; None names them "test[17]".
        digests: (N, D) uint8, what tells the pictures apart as they lie in files; None: their pixels do.
    """

    images: Pixels
    labels: Tensor
    names: Sequence[str] | None = None
    digests: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: NDArray[np.int64]) -> "Images":
        """The pictures in these rows, in this order, copied."""
        index = torch.from_numpy(rows)
        return Images(
            images=self.images[index],
            labels=self.labels[index],
            names=None if self.names is None else [self.names[int(i)] for i in rows],
            digests=None if self.digests is None else self.digests[rows],
        )

    def named(self, split: str) -> "Images":
        """The same pictures, each with a name that it keeps when rows are taken out."""
        names = self.names or [f"{split}[{i}]" for i in range(len(self))]
        return replace(self, names=names)


class ImageBatching(Batching):
    """Arguments that data sets of labelled pictures share.

    Args:
        drop_last: Leave out the last batch of an epoch when it is smaller; else it is kept.
        limit: At most so many examples of each split, with the same share of each class; None for all.
        mean: Mean of each channel, pixels scaled to [0, 1]; one number serves every channel.
        std: Standard deviation of each channel, likewise.
    """

    drop_last: bool
    limit: Annotated[int, Range(">= 2")] | None
    mean: Annotated[list[Probability], Length(">= 1")]
    std: Annotated[list[Annotated[float, Range("[0.000001, 1]")]], Length(">= 1")]


@final
class ImageDataset:
    """Labelled pictures, all of one size; a batch is a copy of some of them, nothing else.

    A picture that turns out to be damaged when it is decoded and may be skipped is, in training, replaced by
    the next one of its split that can be read, with that one's label and index but its own seed: the same
    whenever and wherever this batch is made. In an evaluation it is left out.

    A training batch is a dict:
        images: (B, C, H, W) uint8.
        labels: (B,) int64.
        index: (B,) int64, position of each example in its split.
        seeds: (B,) int64 >= 0, a hash of seed, epoch and index: the randomness of this example in this epoch,
            from which augmentation draws.
    An evaluation batch has no `seeds`.

    Args:
        splits: Pictures of "train" and, where they exist, "eval" and "test".
        class_names: Name of each class; a label is an index into it.
        source: Folder or data set, for messages.
        batching: See `ImageBatching`; `seed` is also that of `seeds`.

    Raises:
        DataError: the pictures cannot be used.
        ConfigError: mean and std do not fit the channels, or no batch is full.
    """

    def __init__(
        self,
        *,
        splits: dict[str, Images],
        class_names: list[str],
        source: str,
        **batching: Unpack[ImageBatching],
    ) -> None:
        _check_splits(splits, class_names, source)
        _, self.channels, self.image_size, _ = splits["train"].images.shape
        self._splits = {name: _limited(images, name, batching["limit"]) for name, images in splits.items()}
        self.class_names = list(class_names)
        self.num_classes = len(class_names)
        self.mean = _per_channel("mean", batching["mean"], self.channels)
        self.std = _per_channel("std", batching["std"], self.channels)
        self.batch_size = batching["batch_size"]
        self.eval_batch_size = batching["eval_batch_size"]
        self._drop_last = batching["drop_last"]
        self._seed = batching["seed"]
        if self._drop_last and self.num_examples("train") < self.batch_size:
            raise ConfigError(
                f"{self.num_examples('train')} training examples do not fill one batch of {self.batch_size}",
                where="batch_size",
                fix="a smaller batch_size, or drop_last=false",
            )

    def num_examples(self, split: str) -> int:
        """Examples in `split`; 0 when the split does not exist."""
        return len(self.labels(split))

    def images(self, split: str) -> Pixels:
        """(N, C, H, W) uint8: the pictures of `split`, in the order of `index`; no copy."""
        return self._of(split).images

    def labels(self, split: str) -> Tensor:
        """(N,) int64: the labels of `split`, in the order of `index`."""
        return self._of(split).labels

    def names(self, split: str) -> Sequence[str]:
        """(N,) a name for each example of `split`: its file, or its place in the published data."""
        return self._of(split).named(split).names or []

    def class_counts(self) -> NDArray[np.int64]:
        """(num_classes,) training examples of each class."""
        return np.bincount(self.labels("train").numpy(), minlength=self.num_classes).astype(np.int64)

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split."""
        return _batches_per_epoch(self.num_examples("train"), self.batch_size, self._drop_last)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        images = self._of("train")
        make = _TrainBatches(images, self.batch_size, self._drop_last, self._seed)
        batches = ordered_batches(
            make, start=start, stop=None, num_workers=workers_of(images.images), name="training"
        )
        return without_problems(batches, images.images)

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every example of `split` once, in its order."""
        images = self._of(split)
        count = -(-len(images) // self.eval_batch_size)
        batches = ordered_batches(
            _EvalBatches(images, self.eval_batch_size),
            start=0,
            stop=count,
            num_workers=min(workers_of(images.images), count),
            name=split,
        )
        return (batch for batch in without_problems(batches, images.images) if len(batch["index"]))

    def fingerprint(self) -> str:
        """sha256 (hex) over class names, pixels or their files, labels and their split, in order."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for name, images in sorted(self._splits.items(), key=lambda item: SPLITS.index(item[0])):
            if len(images):
                digest.update(f"\n{name} {tuple(images.images.shape)}\n".encode())
                digest.update(_content(images))
                digest.update(images.labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def _of(self, split: str) -> Images:
        check_split(split)
        if split in self._splits:
            return self._splits[split]
        shape = self._splits["train"].images.shape[1:]
        empty = torch.empty((0, *shape), dtype=torch.uint8)
        return Images(images=empty, labels=torch.empty(0, dtype=torch.int64), names=[])


# A batch, and what is wrong with pictures that it lacks, by name.
_Batch = tuple[dict[str, Tensor], dict[str, str]]


class _TrainBatches:
    """Training batch `k` as a pure function of `k`; remembers only the order of one epoch."""

    def __init__(self, images: Images, batch_size: int, drop_last: bool, seed: int) -> None:
        self._images, self._batch_size, self._seed = images, batch_size, seed
        self._per_epoch = _batches_per_epoch(len(images), batch_size, drop_last)
        self._epoch, self._order = 0, Order(len(images), seed, 0)

    def __call__(self, number: int) -> _Batch:
        epoch, position = divmod(number, self._per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, Order(len(self._images), self._seed, epoch)
        rows = self._order.between(position * self._batch_size, (position + 1) * self._batch_size)
        seeds = torch.from_numpy(example_seeds(rows, self._seed, epoch))
        batch, problems = _batch(self._images, torch.from_numpy(rows), replace=True)
        return {**batch, "seeds": seeds}, problems


class _EvalBatches:
    """Evaluation batch `k` as a pure function of `k`."""

    def __init__(self, images: Images, batch_size: int) -> None:
        self._images, self._batch_size = images, batch_size

    def __call__(self, number: int) -> _Batch:
        stop = min((number + 1) * self._batch_size, len(self._images))
        return _batch(self._images, torch.arange(number * self._batch_size, stop), replace=False)


def _batch(images: Images, rows: Tensor, *, replace: bool) -> _Batch:
    """Copies of the rows, so that nothing done to a batch reaches the data (`rows` is not read again)."""
    taken = take(images.images, rows, replace=replace)
    labels = images.labels.index_select(0, taken.rows)
    return {"images": taken.pixels, "labels": labels, "index": taken.rows}, taken.problems


def _content(images: Images) -> memoryview:
    """What makes the pictures these and no others."""
    if images.digests is not None:
        return images.digests.data
    assert not isinstance(images.images, LazyPixels)
    return images.images.contiguous().numpy().data


def _batches_per_epoch(num_examples: int, batch_size: int, drop_last: bool) -> int:
    return num_examples // batch_size if drop_last else -(-num_examples // batch_size)


def _limited(images: Images, split: str, limit: int | None) -> Images:
    if limit is None or limit >= len(images):
        return images
    return images.named(split).at(even_subset(images.labels.numpy(), limit))


def _per_channel(name: str, values: list[float], channels: int) -> list[float]:
    """One number for each channel."""
    numbers = [float(value) for value in values]
    if len(numbers) not in (1, channels):
        raise ConfigError(
            f"{name} has {len(numbers)} numbers for pictures of {channels} channel(s)",
            where=name,
            fix=f"give one number, or one for each channel: {name}=[...]",
        )
    return numbers * channels if len(numbers) == 1 else numbers


def _check_splits(splits: dict[str, Images], class_names: list[str], where: str) -> None:
    """Stops data that nothing can be learned from."""
    if len(set(class_names)) < len(class_names):
        raise DataError(f"two classes have the same name: {', '.join(class_names)}", where=where)
    if unknown := set(splits) - set(SPLITS):
        raise DataError(
            f"there is no split '{sorted(unknown)[0]}': they are {', '.join(SPLITS)}", where=where
        )
    train = splits.get("train")
    if train is None or not len(train):
        raise DataError("the training split is empty", where=where)
    for split, images in splits.items():
        _check_images(split, images, tuple(train.images.shape[1:]), where)
        outside = images.labels[(images.labels < 0) | (images.labels >= len(class_names))]
        if len(outside):
            raise DataError(
                f"label {int(outside[0])} of split {split} is out of range: "
                f"there are {len(class_names)} classes",
                where=where,
                fix="labels count from 0, in the order of the class names",
            )
    present = train.labels.unique()
    if len(present) < 2:
        raise DataError(
            f"only one class in the training split: '{class_names[int(present[0])]}'",
            where=where,
            fix="give examples of at least two classes",
        )


def _check_images(split: str, images: Images, shape: tuple[int, ...], where: str) -> None:
    """Types and sizes that every part of the program relies on."""
    pixels, count = images.images, len(images)
    if pixels.dtype != torch.uint8 or images.labels.dtype != torch.int64:
        raise DataError(
            f"split {split} has {pixels.dtype} pixels and {images.labels.dtype} labels "
            "instead of uint8 and int64",
            where=where,
        )
    if pixels.ndim != 4 or shape[0] not in (1, 3) or shape[-1] != shape[-2]:
        raise DataError(
            f"split {split} has shape {tuple(pixels.shape)} instead of (N, 1 or 3, size, size)", where=where
        )
    if tuple(pixels.shape[1:]) != shape:
        raise DataError(
            f"pictures of split {split} are {tuple(pixels.shape[1:])}, those of train are {shape}",
            where=where,
            fix="all pictures need the same channels and size",
        )
    if len(pixels) != count or (images.names is not None and len(images.names) != count):
        raise DataError(
            f"split {split} has {len(pixels)} pictures, {count} labels and "
            f"{'no' if images.names is None else len(images.names)} names",
            where=where,
        )
