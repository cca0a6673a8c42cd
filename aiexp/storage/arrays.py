"""A folder of arrays of any size: written piece by piece, whole when its manifest is there."""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aiexp.errors import CheckpointError, DataError
from aiexp.storage.array import BLOCK_BYTES, Array, checksums_of, open_array
from aiexp.storage.files import sync_directory
from aiexp.storage.manifest import FORMAT, MANIFEST, MANIFEST_FILE
from aiexp.storage.reader import read_file


@final
class GrowingArray:
    """A one-dimensional array that is appended to a file, with its checksums."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self.file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self._checksums = bytearray()
        self._rest = b""
        self.length = 0

    def append(self, values: NDArray[Any]) -> None:
        """Adds (N,) values at the end."""
        data = np.ascontiguousarray(values, self._dtype).tobytes()
        self.length += len(values)
        self.file.write(data)
        self._sha256.update(data)
        data = self._rest + data
        whole_blocks = len(data) // BLOCK_BYTES * BLOCK_BYTES
        view = memoryview(data)
        for start in range(0, whole_blocks, BLOCK_BYTES):
            self._add_checksum(view[start : start + BLOCK_BYTES])
        self._rest = data[whole_blocks:]

    def close(self) -> dict[str, Any]:
        """Makes the file durable; returns what the manifest says of it."""
        if self._rest:
            self._add_checksum(self._rest)
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        with checksums_of(self._path).open("wb") as file:
            file.write(self._checksums)
            file.flush()
            os.fsync(file.fileno())
        return {"dtype": self._dtype.str, "length": self.length, "sha256": self._sha256.hexdigest()}

    def _add_checksum(self, block: bytes | memoryview) -> None:
        self._checksums += zlib.crc32(block).to_bytes(4, "little")


@final
class ArraysWriter:
    """A folder of arrays in the making; it is whole only after `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: dict[str, GrowingArray] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for array in self._arrays.values():
            array.file.close()

    def array(self, name: str, dtype: DTypeLike) -> GrowingArray:
        """The array of that name, new at the first call."""
        if name not in self._arrays:
            self._arrays[name] = GrowingArray(self.folder / f"{name}.bin", dtype)
        return self._arrays[name]

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Makes everything durable and writes the manifest.

        Args:
            facts: Whatever else belongs to the arrays, as JSON.
        """
        arrays = {name: array.close() for name, array in self._arrays.items()}
        manifest = {"format": FORMAT, "arrays": arrays, "facts": facts}
        with (self.folder / MANIFEST).open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self.folder)


@final
class StoredArrays:
    """A folder that an `ArraysWriter` finished: its arrays by name, and the `facts` given with them.

    `digest` is a sha256 over the arrays.

    Raises:
        DataError: it is not whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            manifest = read_file(folder / MANIFEST, MANIFEST_FILE)
        except CheckpointError as error:
            raise DataError(error.what, where=error.where, fix=f"aiexp data rm {folder.name}") from error
        self.facts: dict[str, Any] = manifest["facts"]
        self.digest = hashlib.sha256(json.dumps(manifest["arrays"], sort_keys=True).encode()).hexdigest()
        self._described: dict[str, dict[str, Any]] = manifest["arrays"]
        self._opened: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._opened:
            self._opened[name] = open_array(self.folder / f"{name}.bin", **self._described[name])
        return self._opened[name]

    def check(self) -> None:
        """Raises `DataError` unless every array is there, of its size, and if it is small, unchanged."""
        for name in self._described:
            self[name]
