"""One-dimensional arrays of any size, read in parts: in memory, or in a file and verified when they are read.

A small file is read at once and its sha256 compared. Of a large one only what is asked for is read, and each
block of 64 KiB is compared with its checksum when it is first touched, so that opening takes no time and no
flipped bit gets into a batch.
"""

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError

RESIDENT_BYTES = 64_000_000
BLOCK_BYTES = 1 << 16


class Array(Protocol):
    """A one-dimensional array that is read in parts."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(B,) the values at (B,) positions."""
        ...

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """The values from `start` up to but without `stop`."""
        ...

    def slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """(sum of lengths,) the values of several stretches, end to end.

        Args:
            starts: (B,) where each begins.
            lengths: (B,) values in each.
        """
        ...


@final
class HeldArray:
    """An `Array` in memory.

    Args:
        values: (N,).
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._values[rows]

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """A view."""
        return self._values[start:stop]

    def slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Copies, without a loop over the stretches."""
        return self._values[positions(starts, lengths)]


@final
class FileArray:
    """An `Array` in a file that nobody changes, of which only what is asked for is read.

    Read by position, not through a memory map: some rows at random cost less than their page faults, the
    process does not grow by the pages it touches, and a failing disk or a file cut short is an error instead
    of the signal SIGBUS.

    Args:
        path: The file; its checksums lie beside it.
        dtype: Of its values.
        length: Number of values.

    Raises:
        DataError: there is no such file; when it is read: a block has changed.
    """

    def __init__(self, path: Path, dtype: str, length: int) -> None:
        self._described = (path, dtype, length)
        self._dtype = np.dtype(dtype)
        self._size = length * self._dtype.itemsize
        self._checksums = np.fromfile(checksums_of(path), "<u4")
        if len(self._checksums) != -(-self._size // BLOCK_BYTES):
            raise damaged(path, "lacks checksums")
        self._unseen = np.ones(len(self._checksums), bool)
        self._file = path.open("rb", buffering=0)

    def __reduce__(self) -> tuple[Any, ...]:
        return FileArray, self._described  # a process that is not forked opens it again

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __len__(self) -> int:
        return self._described[2]

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        if len(rows) > 1 and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
            return self.between(int(rows[0]), int(rows[-1]) + 1)
        return self.slices(rows, np.ones(len(rows), np.int64))

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Read at once."""
        stop = max(min(stop, len(self)), start)
        return self.slices(np.array([start]), np.array([stop - start]))

    def slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Read one by one."""
        item = self._dtype.itemsize
        places, sizes = starts * item, lengths * item
        self._verify(places, sizes)
        read = np.empty(int(sizes.sum()), np.uint8)
        view, handle, at = read.data, self._file.fileno(), 0
        for place, size in zip(places.tolist(), sizes.tolist(), strict=True):
            self._read(handle, view[at : at + size], place)
            at += size
        return read.view(self._dtype)

    def _read(self, handle: int, into: memoryview, place: int) -> None:
        while into and (count := os.preadv(handle, [into], place)):  # at most 2 GB at once
            into, place = into[count:], place + count
        if into:
            raise damaged(self._described[0], "was cut short")

    def _verify(self, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Compares the blocks that are touched for the first time with their checksums."""
        some = sizes > 0
        first = places[some] // BLOCK_BYTES
        last = (places[some] + sizes[some] - 1) // BLOCK_BYTES
        if int((last - first).max(initial=0)) > 1:  # longer than a block: what lies between, too
            blocks = np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
        else:
            blocks = np.concatenate([first, last])
        if not self._unseen[blocks].any():
            return
        buffer = memoryview(bytearray(BLOCK_BYTES))
        for block in np.unique(blocks[self._unseen[blocks]]).tolist():
            place = block * BLOCK_BYTES
            data = buffer[: min(BLOCK_BYTES, self._size - place)]
            self._read(self._file.fileno(), data, place)
            if zlib.crc32(data) != int(self._checksums[block]):
                raise damaged(self._described[0], f"changed on disk (block {block})")
            self._unseen[block] = False


def open_array(path: Path, *, dtype: str, length: int, sha256: str) -> Array:
    """An array of an `ArraysWriter`: read at once if it is small, else in parts.

    Args:
        path: The file.
        dtype: Of its values.
        length: Number of values.
        sha256: Of the file, hex.

    Raises:
        DataError: the file is not there, has another size, or is small and has another sha256.
    """
    size = length * np.dtype(dtype).itemsize
    if not path.is_file() or path.stat().st_size != size:
        raise damaged(path, "is missing or has another size")
    if size > RESIDENT_BYTES:
        return FileArray(path, dtype, length)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise damaged(path, "has another sha256")
    return HeldArray(np.frombuffer(data, dtype))


def damaged(path: Path, how: str) -> DataError:
    """What is said of an array that is not as it was written."""
    return DataError(
        f"prepared data {how}: {path.name}",
        where=str(path.parent),
        fix=f"aiexp data rm {path.parent.name}; it is made again",
    )


def positions(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(sum of lengths,) the positions of every value of several stretches, end to end.

    Args:
        starts: (B,) where each begins.
        lengths: (B,) values in each.
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def checksums_of(path: Path) -> Path:
    """Where the CRC-32 of each block of an array's file lies, (blocks,) little-endian uint32."""
    return path.with_suffix(".crc32")
