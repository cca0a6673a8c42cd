"""Large arrays in checkpoints: blocks of rows, of which only those changed since are written again."""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedBlock:
    """Where a block was last saved, and the size and sha256 of its file."""

    path: Path
    record: dict[str, int | str]


@final
class Blocks:
    """An array that changes a few rows at a time, such as a replay buffer, as part of a task's `extra_state`.

    A block that has not changed since the last checkpoint is a hard link to the file there: each checkpoint
    is complete, and none costs more than what is new. Where there are no hard links it is written again.

    Args:
        array: (N, ...), any plain dtype; kept by reference.
        block_rows: Rows of a block, at least 1.
    """

    def __init__(self, array: NDArray[Any], block_rows: int) -> None:
        self.array, self.block_rows = array, block_rows
        self.num_rows = 0  # rows from the first on that hold something
        self._saved: dict[int, SavedBlock] = {}  # blocks unchanged since they were saved

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Sets the rows from `start` on, wrapping around at the end.

        Args:
            start: First row, in [0, N).
            values: (M, ...) with M <= N.
        """
        rows, count = len(self.array), len(values)
        first = min(count, rows - start)
        self.array[start : start + first] = values[:first]
        self.array[: count - first] = values[first:]
        self.num_rows = max(self.num_rows, min(start + count, rows))
        for begin, end in ((start, start + first), (0, count - first)):
            for block in range(begin // self.block_rows, -(-end // self.block_rows)):
                self._saved.pop(block, None)

    @property
    def num_blocks(self) -> int:
        """Blocks that hold something."""
        return -(-self.num_rows // self.block_rows)

    def rows(self, block: int) -> NDArray[Any]:
        """The rows of a block that hold something; a view."""
        start = block * self.block_rows
        return self.array[start : min(start + self.block_rows, self.num_rows)]

    def save(self, block: int, path: Path) -> dict[str, int | str]:
        """Puts a block at `path`, durably; returns its size and sha256."""
        saved = self._saved.get(block)
        if saved is not None:
            try:
                os.link(saved.path, path)
            except OSError:  # pruned, another file system, or one without links
                saved = None
        record = saved.record if saved else write_array(path, self.rows(block))
        # The folder is renamed once it is whole; `moved` then says where the block lies.
        self._saved[block] = SavedBlock(path=path, record=record)
        return record

    def moved(self, folder: Path) -> None:
        """The saved blocks lie in `folder` now."""
        self._saved = {
            block: SavedBlock(path=folder / saved.path.name, record=saved.record)
            for block, saved in self._saved.items()
        }

    def shape(self) -> dict[str, Any]:
        """What `load` must know beside the files: JSON values."""
        return {
            "shape": list(self.array.shape),
            "dtype": self.array.dtype.str,
            "block_rows": self.block_rows,
            "num_rows": self.num_rows,
        }

    @classmethod
    def load(cls, shape: dict[str, Any], files: list[tuple[Path, dict[str, int | str]]]) -> Self:
        """The array saved as `shape` and these files of its blocks, in order, which were verified.

        Raises:
            ValueError: the files do not fit the shape, or the shape no memory.
        """
        size, num_rows, kind = shape["shape"], shape["num_rows"], np.dtype(shape["dtype"])
        row_bytes, held = (
            kind.itemsize * math.prod(size[1:]),
            sum(int(record["bytes"]) for _, record in files),
        )
        if num_rows > size[0] or held != num_rows * row_bytes:  # before memory is asked for what is not there
            raise ValueError(f"blocks of {held} bytes for {num_rows} of {size[0]} rows of {row_bytes} bytes")
        try:
            blocks = cls(np.zeros(size, kind), shape["block_rows"])
        except MemoryError as error:  # the task has just made its own array: this one is larger
            raise ValueError(f"no memory for {size} {kind}, of which {num_rows} rows are there") from error
        blocks.num_rows = num_rows
        if len(files) != blocks.num_blocks:
            raise ValueError(f"{len(files)} blocks instead of {blocks.num_blocks}")
        for block, (path, record) in enumerate(files):
            rows = blocks.rows(block)
            rows[...] = np.memmap(path, rows.dtype, "r", shape=rows.shape)
            blocks._saved[block] = SavedBlock(path=path, record=record)
        return blocks


def write_array(path: Path, rows: NDArray[Any]) -> dict[str, int | str]:
    """Writes and fsyncs the bytes of an array; returns their size and sha256."""
    data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": data.nbytes, "sha256": hashlib.sha256(data).hexdigest()}
