"""Where the pictures of archives lie: each shard is read through once, then any picture with one call.

Nothing is ever unpacked. Tar archives have webdataset's layout: files of the same name up to the first dot,
one behind the other, belong together (`0001.jpg`, `0001.cls`). In zip archives a picture's class is its
folder.
"""

import json
import os
import struct
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.image.file import SUFFIXES, is_hidden
from aiexp.dataset.image.picture import MAX_BYTES, Names, NamesWriter, read_file
from aiexp.errors import DataError

Label = int | str
STORED = -1
# Bytes of a .cls or .json file that says which class a picture has.
_MOST_LABEL_BYTES = 1_000_000
# What else the libraries raise at damaged archives.
_READERS_RAISE = (EOFError, struct.error, ValueError, NotImplementedError, OverflowError, RuntimeError)
_ZIP_HEADER = struct.Struct("<4s22xHH")
_COMPRESSED_TAR = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
}


@final
class ShardTable:
    """The pictures of a shard, being collected.

    Args:
        number: Of the shard among all.
        path: Its file.
    """

    def __init__(self, number: int, path: Path) -> None:
        self._number, self._file = number, path.name
        self._where, self._codes, self._names = array("q"), array("q"), NamesWriter()
        self._labels: dict[Label, int] = {}

    def add(self, name: str, label: Label, offset: int, length: int, inflated: int = STORED) -> None:
        """Adds a picture.

        Args:
            name: What the shard calls it.
            label: Its class, a number or a name.
            offset: Where its bytes begin.
            length: How many there are.
            inflated: How many they become when they are inflated; `STORED` if they are the picture.
        """
        self._where.extend((self._number, offset, length, inflated))
        self._names.add(f"{self._file}/{name}")
        self._codes.append(self._labels.setdefault(label, len(self._labels)))

    def finish(self) -> dict[str, Any]:
        """Arrays, which travel well between processes: where (N, 4), codes, text and ends; and the labels."""
        text, ends = self._names.finish().arrays()
        return {
            "where": np.array(self._where, np.int64).reshape(-1, 4),
            "codes": np.array(self._codes, np.int64),
            "text": text,
            "ends": ends,
            "labels": json.dumps(list(self._labels)),
        }


@final
class ShardPictures:
    """The pictures of archives.

    Args:
        paths: The shards.
        stamps: (S, 2) int64, size in bytes and time of the last change in nanoseconds of each.
        where: (N, 4) int64, shard, offset, length and length when inflated (`STORED` for none).
        names: (N,) names, "train-000.tar/0001.jpg".
    """

    def __init__(
        self, paths: list[str], stamps: NDArray[np.int64], where: NDArray[np.int64], names: Names
    ) -> None:
        self._paths, self._stamps, self._where, self._names = paths, stamps, where, names

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, row: int, /) -> "Member":
        shard, offset, length, inflated = self._where[row].tolist()
        size, modified = self._stamps[shard].tolist()
        name = self._names[row].split("/", 1)[1]
        return Member(self._paths[shard], name, (size, modified), offset, length, inflated)


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A picture inside a shard; see `ShardTable.add` and `read_file`."""

    path: str
    name: str
    stamp: tuple[int, int]
    offset: int
    length: int
    inflated: int

    @property
    def place(self) -> str:
        """The shard and its name in there."""
        return f"{self.path}: {self.name}"

    @property
    def size(self) -> int:
        """Its bytes, inflated."""
        return self.length if self.inflated == STORED else self.inflated

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of its bytes, or all."""
        stop = self.size if stop is None else min(stop, self.size)
        if self.inflated == STORED:
            return read_file(self.path, self.offset + start, self.offset + stop, self.stamp, self.place)
        data = read_file(self.path, self.offset, self.offset + self.length, self.stamp, self.place)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max(stop, 1))[start:stop]


@final
class ShardIndex:
    """The table of shard `k`, by the end of its name: a tar or a zip archive."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __call__(self, number: int) -> dict[str, Any]:
        """See `ShardTable.finish`."""
        path = self._paths[number]
        table = ShardTable(number, path)
        add = _add_tar if path.suffix.lower() == ".tar" else _add_zip
        try:
            add(path, table)
        except (tarfile.TarError, zipfile.BadZipFile, *_READERS_RAISE) as error:
            raise _damaged(path, str(error)) from error
        except OSError as error:
            raise DataError(f"the shard cannot be read: {error.strerror}", where=str(path)) from error
        return table.finish()


def _add_tar(path: Path, table: ShardTable) -> None:
    """The samples of a tar archive: a picture and its .cls, or its .json with a "label"."""
    with path.open("rb") as file:
        head = file.read(6)
        for magic, command in _COMPRESSED_TAR.items():
            if head.startswith(magic):
                raise DataError(
                    "a compressed archive cannot be read at random", where=str(path), fix=f"{command} {path}"
                )
        file.seek(0)
        for key, members in groupby(_tar_members(path, file), key=lambda member: _split(member.name)[0]):
            _add_sample(path, file.fileno(), key, list(members), table)


def _tar_members(path: Path, file: Any) -> Iterator[tarfile.TarInfo]:
    """The plain files of an uncompressed tar archive that ends as it should."""
    size = os.fstat(file.fileno()).st_size
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # it remembers every one  # pyright: ignore
            if member.offset_data + member.size > size:
                raise _damaged(path, f"it ends within {member.name}")
            if member.isreg() and not member.issparse() and not _is_hidden(member.name):
                yield member
        # tarfile takes a damaged header for the end.
        if os.pread(file.fileno(), tarfile.BLOCKSIZE, archive.offset).strip(b"\0"):
            raise _damaged(path, f"no file begins at byte {archive.offset:,}")


def _add_sample(path: Path, handle: int, key: str, members: list[tarfile.TarInfo], table: ShardTable) -> None:
    """The picture among files that belong together; there may be none."""
    by_end = {_split(member.name)[1]: member for member in members}
    pictures = [end for end in by_end if f".{end.rpartition('.')[2]}" in SUFFIXES]
    if not pictures:
        return
    where = f"{path}: {key}"
    if len(pictures) > 1:
        raise DataError(
            f"a sample has {len(pictures)} pictures: {', '.join(pictures)}", where=where,
            fix="write shards with one picture a sample",
        )  # fmt: skip
    label: Any = None
    if (found := by_end.get("cls") or by_end.get("json")) is not None:
        data = os.pread(handle, min(found.size, _MOST_LABEL_BYTES), found.offset_data)
        label = _label(data, is_json=found is not by_end.get("cls"))
    if label is None:
        raise DataError(
            "a picture has no class", where=where,
            fix=f'put {key}.cls (a number or a name) or {key}.json ({{"label": ...}}) behind it',
        )  # fmt: skip
    member = by_end[pictures[0]]
    table.add(member.name, label, member.offset_data, member.size)


def _label(data: bytes, *, is_json: bool) -> Label | None:
    """The class that a .cls or .json file names, None if it does not."""
    try:
        text = data.decode("utf-8").strip()
        value: Any = json.loads(text) if is_json else text
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        found: Any = value.get("label")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        value = found
    return as_label(value)


def as_label(value: object) -> Label | None:
    """A whole number or a name that is not empty; numbers written as text are numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip():
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and str(int(text)) == text else text
    return None


def _split(name: str) -> tuple[str, str]:
    """What a sample is called, and what this file of it is: the name before and behind its first dot."""
    folder, _, file = name.removeprefix("./").rpartition("/")
    key, _, end = file.partition(".")
    return f"{folder}/{key}" if folder else key, end.lower()


def _add_zip(path: Path, table: ShardTable) -> None:
    """The pictures of a zip archive in class folders, in their order."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        size = os.fstat(file.fileno()).st_size
        for info in archive.infolist():
            if (
                info.is_dir()
                or _is_hidden(info.filename)
                or os.path.splitext(info.filename)[1].lower() not in SUFFIXES
                or (info.external_attr >> 28) not in (0, 8)  # a link, a pipe or a device
            ):
                continue
            where = f"{path}: {info.filename}"
            folder = info.filename.rpartition("/")[0].rpartition("/")[2]
            if not folder:
                raise DataError("a picture lies in no class folder", where=where, fix="put it into one")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                how = "encrypted" if info.flag_bits & 1 else "packed in a way that is not read here"
                raise DataError(f"a picture is {how}", where=where, fix="make the archive with: zip -r -0")
            is_stored = info.compress_type == zipfile.ZIP_STORED
            if max(info.file_size, info.compress_size) > MAX_BYTES:
                raise DataError(f"a picture has {info.file_size:,} bytes", where=where, fix="remove it")
            header = os.pread(file.fileno(), _ZIP_HEADER.size, max(info.header_offset, 0))
            magic, name_length, extra_length = _ZIP_HEADER.unpack(header)
            offset = info.header_offset + _ZIP_HEADER.size + name_length + extra_length
            if info.header_offset < 0 or magic != b"PK\3\4" or offset + info.compress_size > size:
                raise _damaged(path, f"{info.filename} does not lie where the archive says")
            table.add(
                info.filename, folder, offset, info.compress_size, STORED if is_stored else info.file_size
            )


def _is_hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/") if part not in ("", ".", ".."))


def _damaged(path: Path, how: str) -> DataError:
    return DataError(f"the shard is damaged: {how}", where=str(path), fix="fetch or write it again")
