"""Rows on disk in the order of their texts' hashes, and the splits that follow from it, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.subset import cut
from aiexp.dataset.text.split import HASH, distinct, hash_order

_NUM_BUCKETS = 256
_HELD_ROWS = 1 << 18
_RECORD = np.dtype([("hash", HASH), ("row", "<i8")])
_CHUNK = 1 << 18


@final
class HashBuckets:
    """Rows with their hashes, put by the first byte into files that are small enough to be sorted in memory.

    Args:
        folder: For the files; they stay there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[NDArray[np.void]] = []
        self._num_held = self.num_rows = 0

    def add(self, hashes: NDArray[np.bytes_]) -> None:
        """The (B,) hashes of the next rows."""
        records = np.empty(len(hashes), _RECORD)
        records["hash"] = hashes
        records["row"] = np.arange(self.num_rows, self.num_rows + len(hashes))
        self._held.append(records)
        self.num_rows += len(hashes)
        self._num_held += len(hashes)
        if self._num_held > _HELD_ROWS:
            self._spill()

    def __iter__(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.int64]]]:
        """Hashes and rows of each bucket; every hash of one is less than every hash of the next."""
        self._spill()
        for number in range(_NUM_BUCKETS):
            if (path := self._path(number)).exists():
                records = np.fromfile(path, _RECORD)
                yield records["hash"], records["row"]

    def _spill(self) -> None:
        if not self._held:
            return
        records = np.concatenate(self._held)
        first = np.ascontiguousarray(records["hash"]).view(np.uint8).reshape(len(records), -1)[:, 0]
        order = np.argsort(first, kind="stable")
        ends = np.searchsorted(first[order], np.arange(_NUM_BUCKETS + 1))
        for number in range(_NUM_BUCKETS):
            if ends[number] < ends[number + 1]:
                with self._path(number).open("ab") as file:
                    file.write(records[order[ends[number] : ends[number + 1]]].tobytes())
        self._held, self._num_held = [], 0

    def _path(self, number: int) -> Path:
        return self._folder / f"bucket-{number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """Which split each row belongs to.

    Args:
        names: Of the splits; the rows of a split that was given are never dropped.
        split_of: (N,) int8, index into `names`, -1 for rows that were left out.
        order: File of all rows kept in the order of their hashes, int64.
        repeated: Training rows left out because their text occurred before.
        conflicting: Training rows left out because their text occurs with another label.
        shared: Rows of each given split whose text also occurs in the training split.
    """

    names: list[str]
    split_of: NDArray[np.int8]
    order: Path
    repeated: int
    conflicting: int
    shared: dict[str, int]


def divide(
    buckets: HashBuckets,
    labels: NDArray[np.integer],
    given: dict[str, int],
    fractions: dict[str, float],
    folder: Path,
) -> Division:
    """What `split_as_needed` does, with rows on disk.

    Args:
        buckets: All rows: those of "train" first, then those of each other given split.
        labels: (N,) the class of each row.
        given: Rows of each given split, "train" first.
        fractions: Share of each class for a split that is not given; 0 for no such split.
        folder: For files.

    Raises:
        ConfigError: nothing would be left for training.
    """
    wanted = {name: part for name, part in fractions.items() if name not in given and part > 0}
    names = ["train", *wanted, *(name for name in given if name != "train")]
    num_train = given["train"]
    split_of = np.full(len(labels), -1, np.int8)
    for name, (start, stop) in _ranges(given).items():
        split_of[start:stop] = names.index(name)
    order, pairs = folder / "order", folder / "pairs"
    repeated = conflicting = 0
    with order.open("wb") as order_file, pairs.open("wb") as pairs_file:
        for hashes, rows in buckets:
            is_train = rows < num_train
            kept = rows[is_train]
            if wanted:
                found = distinct(hashes[is_train], labels[kept].astype(np.int64))
                repeated, conflicting = repeated + found.repeated, conflicting + found.conflicting
                dropped = np.ones(len(kept), bool)
                dropped[found.rows] = False
                split_of[kept[dropped]] = -1
            in_order = rows[hash_order(hashes)]
            order_file.write(in_order[split_of[in_order] >= 0].tobytes())
            pairs_file.write(_pairs(hashes, rows, is_train & (split_of[rows] >= 0), is_train).tobytes())
    if wanted:
        _cut(order, labels, split_of, num_train, wanted)
    return Division(
        names=names,
        split_of=split_of,
        order=order,
        repeated=repeated,
        conflicting=conflicting,
        shared=_shared(pairs, split_of, names),
    )


def chunks_of(path: Path) -> Iterator[NDArray[np.int64]]:
    """The numbers of a file, in parts."""
    with path.open("rb") as file:
        while data := file.read(_CHUNK * 8):
            yield np.frombuffer(data, np.int64)


def _ranges(given: dict[str, int]) -> dict[str, tuple[int, int]]:
    """First row of each split, and the one after its last."""
    ends = np.cumsum([0, *given.values()]).tolist()
    return {name: (ends[i], ends[i + 1]) for i, name in enumerate(given)}


def _pairs(
    hashes: NDArray[np.bytes_], rows: NDArray[np.int64], kept: NDArray[np.bool_], is_train: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(P, 2) int64: each row that is not for training and has the text of a training row, with that row."""
    others, train = np.flatnonzero(~is_train), np.flatnonzero(kept)
    if not len(others) or not len(train):
        return np.zeros((0, 2), np.int64)
    train = train[hash_order(hashes[train])]
    places = np.searchsorted(hashes[train], hashes[others]).clip(max=len(train) - 1)
    same = hashes[train[places]] == hashes[others]
    return np.stack([rows[others[same]], rows[train[places[same]]]], 1)


def _cut(
    order: Path,
    labels: NDArray[np.integer],
    split_of: NDArray[np.int8],
    num_train: int,
    fractions: dict[str, float],
) -> None:
    """Puts the first training rows of each class into the splits that were not given."""

    def training_rows() -> Iterator[NDArray[np.int64]]:
        return (rows[rows < num_train] for rows in chunks_of(order))

    num_classes = int(labels.max()) + 1
    sizes = sum(
        (np.bincount(labels[rows], minlength=num_classes) for rows in training_rows()),
        np.zeros(num_classes, np.int64),
    )
    parts = cut((labels[rows].astype(np.int64) for rows in training_rows()), sizes, fractions)
    for rows, split in zip(training_rows(), parts, strict=True):
        split_of[rows] = split  # `wanted` stands right after "train" in the names


def _shared(pairs: Path, split_of: NDArray[np.int8], names: Sequence[str]) -> dict[str, int]:
    """How many rows of each given split have a text that is in the training split, too."""
    counts = np.zeros(len(names), np.int64)
    for part in chunks_of(pairs):
        other, train = part.reshape(-1, 2).T
        in_train = split_of[train] == 0
        counts += np.bincount(split_of[other[in_train]], minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}
