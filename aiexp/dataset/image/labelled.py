"""Pictures in files of any kind, mostly labelled, as a data set: in memory, or decoded batch by batch."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from aiexp.dataset.image.dataset import ImageBatching, ImageDataset, Images
from aiexp.dataset.image.inspection import inspected
from aiexp.dataset.image.picture import Names, Picture, Pictures
from aiexp.dataset.image.pixels import LazyPixels, num_cores
from aiexp.dataset.image.reader import check_memory, fits, read_images, without_bad
from aiexp.dataset.subset import even_subset
from aiexp.dataset.text.split import normalised
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import NonNegativeInt, PositiveInt

logger = logging.getLogger(__name__)

Memory = Literal["auto", "resident", "lazy"]
# Of the free memory: what pictures may take without being asked to.
RESIDENT_SHARE = 0.25
_HASH_PARTS = 4


class Decoding(TypedDict):
    """Arguments of pictures in files of any kind.

    Args:
        on_bad_sample: Stop at a picture that cannot be read, or leave it out and log how many.
        image_size: Height and width in pixels; see `aiexp.dataset.image.file.read_image`.
        channels: 1 or 3.
        memory: "resident" decodes all pictures before the first step and holds them, "lazy" decodes those of
            a batch when it is made, "auto" is resident if they fit into a quarter of the free memory. The
            batches are the same.
        num_workers: Processes that make batches of lazy pictures and look through them at the first start;
            None for one a core, 0 for none but the training process.
    """

    on_bad_sample: Literal["error", "skip"]
    image_size: PositiveInt
    channels: Literal[1, 3]
    memory: Memory
    num_workers: NonNegativeInt | None


class PictureBatching(ImageBatching, Decoding):
    """Arguments that data sets of the user's own labelled pictures share."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Collection:
    """Encoded pictures in one place.

    Args:
        pictures: (M,).
        names: (M,) what reports call them: "cat/1.png".
        stamps: (M, K) int64, what changes when a picture does: size and time.
        source: Folder or files, for messages.
    """

    pictures: Pictures
    names: Names
    stamps: NDArray[np.int64]
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Pictures of one split.

    Args:
        collection: Where they lie.
        rows: (N,) int64, which of its pictures, ascending.
        labels: (N,) int64, index into the class names; zeros where there are none.
    """

    collection: Collection
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: NDArray[np.int64]) -> "Part":
        """Some of them, in this order."""
        return Part(collection=self.collection, rows=self.rows[places], labels=self.labels[places])

    @property
    def names(self) -> Names:
        """(N,) what reports call them."""
        return self.collection.names.at(self.rows)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Some pictures of a collection, by their place among them."""

    pictures: Pictures
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int, /) -> Picture:
        return self.pictures[int(self.rows[row])]


def cut_off(train: Part, fractions: Mapping[str, float]) -> dict[str, Part]:
    """Parts with the same share of each class to within one picture, by the sha256 of the names.

    A picture's place follows from its name; each part has at least one of each class that is large enough.

    Args:
        train: What is divided.
        fractions: Part to its share of each class in (0, 1); the rest is "train".

    Raises:
        ConfigError: nothing would be left for training.
    """
    if sum(fractions.values()) >= 1:
        raise ConfigError(
            f"the fractions of {' and '.join(fractions)} leave nothing to train on",
            where=f"{next(iter(fractions))}_fraction", fix="make their sum less than 1",
        )  # fmt: skip
    hashes = b"".join(
        hashlib.sha256(normalised(name).encode("utf-8", "surrogatepass")).digest() for name in train.names
    )
    columns = np.frombuffer(hashes, ">u8").reshape(-1, _HASH_PARTS)
    order = np.lexsort((*columns.T[::-1],))
    places: dict[str, list[NDArray[np.int64]]] = {part: [] for part in ("train", *fractions)}
    for label in np.unique(train.labels):
        members = order[train.labels[order] == label]
        start = 0
        for part, fraction in fractions.items():
            count = round(fraction * len(members))
            if count == 0 and len(members) > len(fractions):
                count = 1
            places[part].append(members[start : start + count])
            start += count
        places["train"].append(members[start:])
    parts = {part: np.sort(np.concatenate(found)) for part, found in places.items()}
    return {part: train.at(found) for part, found in parts.items() if len(found)}


def picture_dataset(
    parts: Mapping[str, Part], class_names: list[str], source: str, **batching: Unpack[PictureBatching]
) -> ImageDataset:
    """The data set of these splits.

    Args:
        parts: "train" and, where they exist, "eval" and "test".
        class_names: Name of each class.
        source: Folder or files, for messages.
        batching: See `PictureBatching`.

    Raises:
        DataError: a picture cannot be read, or no picture of a class; names it.
        ConfigError: the settings do not fit the pictures.
        MemoryFullError: resident pictures do not fit into memory.
    """
    if (limit := batching["limit"]) is not None:
        parts = {
            split: part.at(even_subset(part.labels, min(limit, len(part)))) for split, part in parts.items()
        }
    splits = decoded(parts, source, batching)
    lost = np.setdiff1d(parts["train"].labels, splits["train"].labels.numpy())
    if lost.size:  # leaving out broken pictures must not leave out a class
        raise DataError(
            f"no picture of class {class_names[int(lost[0])]} can be read", where=source,
            fix="repair them, or remove the class folder",
        )  # fmt: skip
    _warn_of_repeats(splits, source)
    shared: Any = {key: batching[key] for key in ImageBatching.__annotations__}
    return ImageDataset(splits=splits, class_names=class_names, source=source, **shared)


def decoded(parts: Mapping[str, Part], source: str, decoding: Decoding) -> dict[str, Images]:
    """The pictures of these parts, decoded now or whenever they are needed.

    Args:
        parts: By name.
        source: Folder or files, for messages.
        decoding: See `Decoding`.

    Raises:
        DataError: a picture cannot be read; names it.
        MemoryFullError: resident pictures do not fit into memory.
    """
    size, memory = decoding["image_size"], decoding["memory"]
    shape = (sum(map(len, parts.values())), decoding["channels"], size, size)
    if memory == "resident" or (memory == "auto" and fits(shape, RESIDENT_SHARE)):
        check_memory(shape, source)
        return {name: _resident(part, decoding) for name, part in parts.items()}
    return _lazy(parts, decoding)


def _resident(part: Part, decoding: Decoding) -> Images:
    """All pictures decoded now."""
    images, places, digests = read_images(
        _Chosen(part.collection.pictures, part.rows),
        decoding["image_size"],
        decoding["channels"],
        skip_bad=decoding["on_bad_sample"] == "skip",
        source=part.collection.source,
    )
    kept = part.at(places)
    return Images(
        images=images, labels=torch.from_numpy(kept.labels), names=list(kept.names), digests=digests
    )


def _lazy(parts: Mapping[str, Part], decoding: Decoding) -> dict[str, Images]:
    """All pictures looked at, none decoded."""
    num_workers = decoding["num_workers"]
    num_workers = num_cores() if num_workers is None else num_workers
    skip_bad = decoding["on_bad_sample"] == "skip"
    images: dict[str, Images] = {}
    for collection, splits in _by_collection(parts).items():
        # What splits share is looked at together, so that other fractions change nothing.
        rows = np.sort(np.concatenate([parts[split].rows for split in splits]))
        chosen = _Chosen(collection.pictures, rows)
        stamps = hashlib.sha256(np.ascontiguousarray(collection.stamps[rows]).data).hexdigest()
        key = {"names": collection.names.at(rows).digest(), "stamps": stamps}
        digests, bad = inspected(chosen, key, collection.source, num_workers)
        readable = without_bad(bad, len(rows), skip_bad=skip_bad, source=collection.source)
        for split in splits:
            part = parts[split]
            part = part.at(np.flatnonzero(np.isin(part.rows, rows[readable])))
            images[split] = Images(
                images=LazyPixels(
                    collection.pictures,
                    part.rows,
                    channels=decoding["channels"],
                    image_size=decoding["image_size"],
                    skip_bad=skip_bad,
                    num_workers=num_workers,
                ),
                labels=torch.from_numpy(part.labels),
                names=part.names,
                digests=digests[np.searchsorted(rows, part.rows)],
            )
    return {split: images[split] for split in parts}


def _by_collection(parts: Mapping[str, Part]) -> dict[Collection, list[str]]:
    """The splits that lie in each collection."""
    found: dict[Collection, list[str]] = {}
    for split, part in parts.items():
        found.setdefault(part.collection, []).append(split)
    return found


def _warn_of_repeats(splits: Mapping[str, Images], source: str) -> None:
    """Pictures on both sides of a split make results look better than they are."""
    # 64 bits of each digest: two of a million pictures would be taken for one once in 30 million data sets.
    hashes = {
        split: np.ascontiguousarray(part.digests).view("<u8")[:, 0]
        for split, part in splits.items()
        if part.digests is not None and len(part)
    }
    train = hashes.pop("train", np.zeros(0, np.uint64))
    for split, others in hashes.items():
        if shared := int(np.isin(others, train).sum()):
            logger.warning(
                "%s: %d pictures of split %s also occur in the training split", source, shared, split
            )
