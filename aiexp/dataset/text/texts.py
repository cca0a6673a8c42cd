"""Texts of any number, of which only those asked for are in memory."""

from collections.abc import Sequence
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from aiexp.storage.array import Array


class Texts(Protocol):
    """Many texts by number."""

    def many(self, rows: NDArray[np.int64]) -> list[str]:
        """The texts of (B,) rows."""
        ...


@final
class StoredTexts:
    """Texts in one array of bytes.

    Args:
        data: (sum of lengths,) uint8, UTF-8, end to end.
        ends: (N,) int64, where each ends.
    """

    def __init__(self, data: Array, ends: Array) -> None:
        self._data, self._ends = data, ends

    def many(self, rows: NDArray[np.int64]) -> list[str]:
        """The texts of (B,) rows."""
        ends = self._ends[rows]
        starts = np.where(rows > 0, self._ends[np.maximum(rows - 1, 0)], 0)
        lengths = ends - starts
        joined = self._data.slices(starts, lengths).tobytes()
        cuts = np.cumsum(lengths).tolist()
        return [
            joined[start:stop].decode("utf-8", "surrogatepass")
            for start, stop in zip([0, *cuts], cuts, strict=False)
        ]


@final
class ColumnTexts:
    """A column of the hub's tables, mapped where the `datasets` library keeps them.

    Args:
        tables: One after the other.
        column: Its name.
    """

    def __init__(self, tables: Sequence[Any], column: str) -> None:
        self._tables, self._column = tables, column
        self._starts = np.cumsum([0, *(len(table) for table in tables)])

    def many(self, rows: NDArray[np.int64]) -> list[str]:
        """The texts of (B,) rows."""
        texts = [""] * len(rows)
        owners = np.searchsorted(self._starts, rows, "right") - 1
        for owner in np.unique(owners).tolist():
            places = np.flatnonzero(owners == owner)
            part = self._tables[owner][(rows[places] - self._starts[owner]).tolist()]
            for place, text in zip(places.tolist(), part[self._column], strict=True):
                texts[place] = text
        return texts


@final
class SplitTexts(Sequence[str]):
    """The texts of a split, as a sequence.

    Args:
        texts: Of all splits.
        rows: (N,) int64, those of this one.
    """

    def __init__(self, texts: Texts, rows: Array) -> None:
        self.texts, self._rows = texts, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.texts.many(self._rows[np.arange(*index.indices(len(self)))])
        position = range(len(self))[index]
        return self.texts.many(self._rows[np.array([position])])[0]
