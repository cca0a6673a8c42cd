"""Encoded pictures by the hundred thousand, without an object for each: names, bytes, digests."""

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, overload

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError

# More than the largest picture that is accepted takes in any format.
MAX_BYTES = 1_000_000_000
EDGE_BYTES = 4096
DIGEST_BYTES = 16
# What files begin with whose every byte depends on the picture before it; the others are hashed as a whole.
_COMPRESSED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")


class Picture(Protocol):
    """One encoded picture."""

    @property
    def place(self) -> str:
        """Where it lies, for messages: its path."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of its bytes, or all.

        Raises:
            OSError: it cannot be read.
            DataError: it is not what it was when the run began.
        """
        ...


class Pictures(Protocol):
    """Encoded pictures by row; cheap to send to another process, whatever their number."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Picture: ...


@final
@dataclass(frozen=True, slots=True)
class FilePicture:
    """A picture that is a file.

    Args:
        place: Its path.
        size: Bytes.
        modified: When it was last changed, nanoseconds since 1970; None: it does not matter.
    """

    place: str
    size: int
    modified: int | None = None

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of its bytes, or all; see `Picture`."""
        stamp = None if self.modified is None else (self.size, self.modified)
        return read_file(self.place, start, self.size if stop is None else stop, stamp, self.place)


def file_pictures(paths: Iterable[Path]) -> list[FilePicture]:
    """The pictures in a few files, which need not exist."""
    return [FilePicture(str(path), MAX_BYTES) for path in paths]


def read_file(path: str, start: int, stop: int, stamp: tuple[int, int] | None, place: str) -> bytes:
    """The bytes of a file from `start` up to but without `stop`, fewer where it ends before.

    It is opened every time: that takes a hundredth of decoding, and threads and forks share no open file.

    Args:
        path: The file.
        start: First byte.
        stop: One past the last.
        stamp: What its size and time of the last change (ns) must be, None for anything.
        place: What it is called in messages.

    Raises:
        OSError: it cannot be read.
        DataError: it has changed or is gone.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        if stamp is None:
            raise
        raise _changed(place, "is gone") from None
    try:
        found = os.fstat(handle)
        if stamp is not None and (found.st_size, found.st_mtime_ns) != stamp:
            raise _changed(place, "has changed")
        # One call may read less than is there, of a network drive for example.
        parts: list[bytes] = []
        stop = min(stop, found.st_size)
        while start < stop and (data := os.pread(handle, stop - start, start)):
            parts.append(data)
            start += len(data)
        return b"".join(parts)
    finally:
        os.close(handle)


def _changed(place: str, how: str) -> DataError:
    """What is said of a picture that is not what it was when it was looked at."""
    return DataError(
        f"the picture {how} since this run looked at it", where=place, fix="start or resume it again"
    )


def digest_of(size: int, head: bytes, tail: bytes) -> bytes:
    """What tells pictures apart: of a compressed one its size, first and last 4 KiB; of others everything.

    Args:
        size: Bytes of the picture.
        head: At least its first `EDGE_BYTES`, or all; all if it `is_compressed` not.
        tail: At least its last `EDGE_BYTES`, or all.
    """
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    digest.update(head[:EDGE_BYTES] if is_compressed(head) else head)
    digest.update(tail[-EDGE_BYTES:])
    return digest.digest()[:DIGEST_BYTES]


def is_compressed(head: bytes) -> bool:
    """Whether a picture that begins so is a JPEG, PNG, GIF or WebP."""
    return head.startswith(_COMPRESSED)


@final
class Names(Sequence[str]):
    """Many strings in one array of bytes, some of them chosen.

    Args:
        text: The strings in the file system's encoding, end to end.
        ends: (M,) int64, where each ends.
        rows: (N,) int64, which of them, in this order; None for all.
    """

    def __init__(self, text: bytes, ends: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> None:
        self._text, self._ends = text, ends
        self._rows = rows

    def __len__(self) -> int:
        return len(self._ends if self._rows is None else self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        row = index if self._rows is None else int(self._rows[index])
        return os.fsdecode(self._text[self._ends[row - 1] if row else 0 : self._ends[row]])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def at(self, rows: NDArray[np.int64]) -> "Names":
        """The names in these rows, in this order; no copy."""
        return Names(self._text, self._ends, rows if self._rows is None else self._rows[rows])

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Their text and where each ends in it, of names of which none were chosen."""
        return np.frombuffer(self._text, np.uint8), self._ends

    def digest(self) -> str:
        """sha256 (hex) over all of them."""
        if self._rows is None or np.array_equal(self._rows, np.arange(len(self._ends))):
            text, ends = self._text, self._ends
        else:
            names = [os.fsencode(name) for name in self]
            text, ends = b"".join(names), np.cumsum([len(name) for name in names], dtype=np.int64)
        return hashlib.sha256(ends.tobytes() + text).hexdigest()


@final
class NamesWriter:
    """Collects `Names`."""

    def __init__(self) -> None:
        self._text, self._ends = bytearray(), array("q")

    def add(self, name: str) -> None:
        """Adds one at the end."""
        self._text += os.fsencode(name)
        self._ends.append(len(self._text))

    def finish(self) -> Names:
        """All of them."""
        return Names(bytes(self._text), np.array(self._ends, np.int64))
