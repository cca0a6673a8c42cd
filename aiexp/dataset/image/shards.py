"""The user's own labelled pictures in shards: tar archives of webdataset, zip archives, Parquet files."""

import glob
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.labelled import Collection, Part, PictureBatching, cut_off, picture_dataset
from aiexp.dataset.image.parquet_shards import ArrayPictures, copy_parquet
from aiexp.dataset.image.picture import Names
from aiexp.dataset.image.pixels import num_cores
from aiexp.dataset.image.shard_index import Label, ShardIndex, ShardPictures
from aiexp.dataset.loader import ordered_batches
from aiexp.errors import DataError, nearest
from aiexp.ranges import Share
from aiexp.source.prepared import prepared
from aiexp.storage.arrays import ArraysWriter, StoredArrays
from aiexp.text.terminal import say

_VERSION = 1
_KINDS = (".tar", ".zip", ".parquet")
# What ends so is compressed as a whole; what to type.
_UNPACK = {".gz": "gunzip", ".tgz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}
_LARGE_BYTES = 1_000_000_000
# Names in a message before the rest is cut.
_SHOWN = 8
_MOST_SHARDS = 1_000_000
_MOST_CLASSES = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_ARRAYS = {"where": "<i8", "codes": "<i8", "text": "u1", "ends": "<i8"}


def image_shards(
    *,
    train_files: str,
    eval_files: str | None,
    test_files: str | None,
    eval_fraction: Share,
    test_fraction: Share,
    class_names: list[str] | None,
    image_column: str,
    label_column: str,
    **batching: Unpack[PictureBatching],
) -> ImageDataset:
    """Pictures of one to three sets of shards; what has no shards of its own is cut off the training set.

    Args:
        train_files: A path, a pattern (*, ?, [...]) or several paths ("train-{000..099}.tar"); see
            `shard_index` and `parquet_shards` for what lies in them.
        eval_files: Likewise for validation, None to cut it off.
        test_files: Likewise for the test, None to cut it off.
        eval_fraction: Share of each class, by the hash of the names, when there are no `eval_files`.
        test_fraction: Likewise when there are no `test_files`.
        class_names: Names of the classes: labels are these names, or their positions; None: the classes that
            occur in the training shards.
        image_column: Of Parquet files: encoded pictures, bytes or Hugging Face's struct.
        label_column: Of Parquet files: the class, a number or a name.
        batching: See `PictureBatching`.

    Raises:
        DataError: a shard or picture cannot be used; names it.
        ConfigError: nothing would be left for training, or there is no such column.
        MemoryFullError: resident pictures do not fit into memory.
    """
    num_workers = batching["num_workers"]
    given = {"train": train_files, "eval": eval_files, "test": test_files}
    parts: dict[str, Part] = {}
    for split, pattern in given.items():
        if pattern is not None:
            paths = find_shards(pattern, f"{split}_files")
            collection, codes, labels, published = _indexed(
                paths, (image_column, label_column), num_cores() if num_workers is None else num_workers
            )
            if split == "train":
                class_names = class_names or published or _occurring(labels, len(codes), pattern)
            numbers = _numbers(labels, class_names or [], f"{split}_files")
            rows = np.arange(len(codes))
            parts[split] = Part(collection=collection, rows=rows, labels=numbers[codes])
    fractions = {"eval": eval_fraction, "test": test_fraction}
    wanted = {split: share for split, share in fractions.items() if split not in parts and share > 0}
    if wanted:
        parts |= cut_off(parts["train"], wanted)
    return picture_dataset(parts, class_names or [], train_files, **batching)


def find_shards(pattern: str, key: str) -> list[Path]:
    """The files that a pattern means, sorted by name within each of its alternatives.

    Args:
        pattern: A path; with {a,b} or {000..099} several; with *, ? or [...] those that exist.
        key: Who asks, for messages.

    Raises:
        DataError: a file does not exist, or is no shard.
    """
    paths: list[Path] = []
    for one in _alternatives(pattern, key):
        name = str(Path(one).expanduser())
        listed = sorted(glob.glob(name)) if glob.has_magic(name) else [name]
        found = [Path(path) for path in listed if Path(path).is_file()]
        if not found:
            raise DataError(
                f"no such file: {name}", where=key, fix=f"{key}=<path of tar, zip or Parquet files>"
            )
        paths += found
    for path in paths:
        kind = path.suffix.lower()
        if kind in _UNPACK:
            raise DataError(
                f"{path.name} is compressed: no picture in it can be read alone",
                where=key, fix=f"{_UNPACK[kind]} {path}",
            )  # fmt: skip
        if kind not in _KINDS:
            raise DataError(
                f"{path.name} is no shard", where=key, fix=f"files that end in {', '.join(_KINDS)}"
            )
    if len(kinds := {path.suffix.lower() for path in paths}) > 1:
        raise DataError(
            f"shards of several kinds: {', '.join(sorted(kinds))}", where=key, fix="give one kind"
        )
    return paths


def _alternatives(pattern: str, key: str) -> list[str]:
    """A pattern with {a,b} and {000..099} as the patterns that it stands for."""
    pieces: list[list[str]] = []
    count, place = 1, 0
    for found in _BRACES.finditer(pattern):
        inside = found[1].split(",")
        if span := _RANGE.fullmatch(found[1]):
            first, last = int(span[1]), int(span[2])
            count *= max(last - first + 1, 0)
            width = len(span[1]) if span[1].startswith("0") else 1
            inside = [f"{i:0{width}}" for i in range(first, last + 1)] if count <= _MOST_SHARDS else []
        pieces += [[pattern[place : found.start()]], inside]
        place = found.end()
    if not 0 < count <= _MOST_SHARDS:
        raise DataError(
            f"{pattern} means {count:,} files", where=key, fix=f"a range of 1 to {_MOST_SHARDS:,} files"
        )
    return ["".join(parts) for parts in itertools.product(*pieces, [pattern[place:]])]


def _indexed(
    paths: list[Path], columns: tuple[str, str], num_workers: int
) -> tuple[Collection, NDArray[np.int64], list[Label], list[str] | None]:
    """Pictures, (N,) code of each one's class, the class of each code, and what numbers are called if told.

    Shards are read through when they are seen for the first time or have changed.
    """
    stamps = np.array([(s.st_size, s.st_mtime_ns) for s in (path.stat() for path in paths)], np.int64)
    is_parquet = paths[0].suffix.lower() == ".parquet"
    files = [[path.name, *stamp] for path, stamp in zip(paths, stamps.tolist(), strict=True)]
    key: dict[str, Any] = {"version": _VERSION, "files": files, "columns": columns if is_parquet else None}
    what = f"{paths[0].parent}/{paths[0].name}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}"

    def make(writer: ArraysWriter) -> Mapping[str, Any]:
        return _copy(writer, paths, columns) if is_parquet else _index(writer, paths, num_workers)

    stored = prepared("shards", key, what, make)
    where = _all(stored, "where").reshape(-1, 4)
    if not len(where):
        raise DataError("there are no pictures in the shards", where=str(paths[0]))
    names = Names(_all(stored, "text").tobytes(), _all(stored, "ends"))
    pictures = (
        ArrayPictures(stored["data"], where, names)
        if is_parquet
        else ShardPictures([str(path) for path in paths], stamps, where, names)
    )
    collection = Collection(
        pictures=pictures,
        names=names,
        stamps=np.concatenate([where[:, 1:], stamps[where[:, 0]]], 1),
        source=what,
    )
    return collection, _all(stored, "codes"), stored.facts["labels"], stored.facts["class_names"]


def _index(writer: ArraysWriter, paths: list[Path], num_workers: int) -> Mapping[str, Any]:
    """Writes where the pictures of archives lie."""
    tables = ordered_batches(
        ShardIndex(paths),
        start=0,
        stop=len(paths),
        num_workers=min(num_workers, len(paths)) if len(paths) > 1 else 0,
        name="index of shards,",
    )
    return {"labels": _append(writer, tables), "class_names": None}


def _copy(writer: ArraysWriter, paths: list[Path], columns: tuple[str, str]) -> Mapping[str, Any]:
    """Writes the pictures of Parquet files, and where they lie."""
    size = sum(path.stat().st_size for path in paths)
    if size > _LARGE_BYTES:
        say(f"copying {size / 1e9:.1f} GB of Parquet to the data folder; later starts use the copy")
    data = writer.array("data", "u1")
    published: list[list[str] | None] = []

    def tables() -> Iterator[dict[str, Any]]:
        for number, path in enumerate(paths):
            table, class_names = copy_parquet(number, path, columns, data)
            published.append(class_names)
            yield table

    labels = _append(writer, tables())
    return {"labels": labels, "class_names": published[0] if published[1:] == published[:-1] else None}


def _append(writer: ArraysWriter, tables: Iterator[Any]) -> list[Label]:
    """Writes the tables of all shards as one; returns the class of each code."""
    arrays = {name: writer.array(name, kind) for name, kind in _ARRAYS.items()}
    codes: dict[Label, int] = {}
    for table in tables:
        labels: list[Label] = json.loads(table["labels"])
        mapped = np.array([codes.setdefault(label, len(codes)) for label in labels], np.int64)
        if len(codes) > _MOST_CLASSES:
            raise DataError(f"there are more than {_MOST_CLASSES:,} classes", where="label")
        found = {name: np.asarray(table[name]) for name in _ARRAYS}
        found["ends"] = found["ends"] + arrays["text"].length
        found["codes"] = mapped[found["codes"]]
        for name, values in found.items():
            arrays[name].append(values.reshape(-1))
    return list(codes)


def _all(stored: StoredArrays, name: str) -> NDArray[Any]:
    return stored[name].between(0, len(stored[name]))


def _occurring(labels: list[Label], count: int, source: str) -> list[str]:
    """The classes that occur: numbers in their order, or names in alphabetical order."""
    kinds = {type(label): label for label in labels}
    if len(kinds) > 1:
        raise DataError(
            f"classes are numbers and names: {kinds[int]} and '{kinds[str]}'", where=source,
            fix="write all the same way, or list them in dataset.class_names",
        )  # fmt: skip
    if len(labels) == count > 2:
        raise DataError(f"each of the {count:,} pictures has a class of its own", where=source)
    return [str(label) for label in sorted(labels, key=lambda label: (label,))]


def _numbers(labels: list[Label], class_names: list[str], key: str) -> NDArray[np.int64]:
    """(codes,) int64: the position of each class among the names; numbers may be positions themselves."""
    position = {name: number for number, name in enumerate(class_names)}
    is_named = [str(label) in position for label in labels]
    if not any(is_named) and all(isinstance(label, int) and 0 <= label < len(position) for label in labels):
        return np.array(labels, np.int64)
    if not all(is_named):
        label = str(labels[is_named.index(False)])
        shown = ", ".join(class_names[:_SHOWN]) + (", ..." if len(class_names) > _SHOWN else "")
        raise DataError(
            f"'{label}' is not a class: they are {shown}.{nearest(label, class_names)}", where=key,
            fix="correct the shards, or give dataset.class_names",
        )  # fmt: skip
    return np.array([position[str(label)] for label in labels], np.int64)
