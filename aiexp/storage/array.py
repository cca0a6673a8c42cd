"""One-dimensional arrays of any size, read in parts: in memory, or mapped from a file and verified when read.

A small file is read at once and its sha256 compared. Of a large one only what is asked for is read: it is
mapped, and each block of 64 KiB is compared with its checksum when it is first touched, so that opening takes
no time and no flipped bit gets into a batch.
"""

import hashlib
import mmap
import zlib
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError

RESIDENT_BYTES = 64_000_000
BLOCK_BYTES = 1 << 16
# Pages of a map count as the process's memory until they are given back; then reading maps them again.
_MAPPED_BYTES = 64_000_000


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
        return self._values[_places(starts, lengths)]


@final
class MappedArray:
    """An `Array` in a file that nobody changes, of which only what is asked for is read.

    Args:
        path: The file; its checksums lie beside it.
        dtype: Of its values.
        length: Number of values, at least 1.

    Raises:
        DataError: there is no such file, or of another size; when it is read: a block has changed.
    """

    def __init__(self, path: Path, dtype: str, length: int) -> None:
        self._described = (path, dtype, length)
        self._values = np.memmap(path, dtype, "r", shape=(length,))
        self._item_bytes = self._values.itemsize
        self._bytes: NDArray[np.uint8] = self._values.view(np.uint8)
        self._checksums = np.fromfile(checksums_of(path), "<u4")
        if len(self._checksums) != -(-len(self._bytes) // BLOCK_BYTES):
            raise damaged(path, "lacks checksums")
        self._unseen = np.ones(len(self._checksums), bool)
        self._num_mapped = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedArray, self._described  # a process that is not forked maps it again

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._verify(rows, rows + 1)
        return np.array(self._values[rows])

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """A copy."""
        stop = min(stop, len(self))
        if start < stop:
            self._verify(np.array([start]), np.array([stop]))
        return np.array(self._values[start:stop])

    def slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Copies, without a loop over the stretches."""
        some = lengths > 0
        self._verify(starts[some], (starts + lengths)[some])
        return np.array(self._values[_places(starts, lengths)])

    def _verify(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> None:
        """Compares the blocks that are touched for the first time with their checksums."""
        first = starts * self._item_bytes // BLOCK_BYTES
        last = (stops * self._item_bytes - 1) // BLOCK_BYTES
        self._give_back(int((last - first + 1).sum()))
        if int((last - first).max(initial=0)) > 1:  # longer than a block: what lies between, too
            blocks = np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
        else:
            blocks = np.concatenate([first, last])
        for block in np.unique(blocks[self._unseen[blocks]]).tolist():
            data = self._bytes[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if zlib.crc32(data.data) != int(self._checksums[block]):
                raise damaged(self._described[0], f"changed on disk (block {block})")
            self._unseen[block] = False

    def _give_back(self, num_blocks: int) -> None:
        """Lets the kernel take mapped pages back from time to time; they stay in its cache."""
        self._num_mapped += num_blocks * BLOCK_BYTES
        if self._num_mapped > _MAPPED_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._values._mmap.madvise(mmap.MADV_DONTNEED)  # pyright: ignore
            self._num_mapped = 0


def open_array(path: Path, *, dtype: str, length: int, sha256: str) -> Array:
    """An array of an `ArraysWriter`: read at once if it is small, else mapped.

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
        return MappedArray(path, dtype, length)
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


def _places(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(sum of lengths,) the positions of every value of several stretches."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def checksums_of(path: Path) -> Path:
    """Where the CRC-32 of each block of an array's file lies, (blocks,) little-endian uint32."""
    return path.with_suffix(".crc32")
