"""Pictures in Parquet files, in Hugging Face's layout: a column of encoded pictures and one of classes.

A row cannot be read without its row group, often hundreds of megabytes, so the encoded pictures are copied
once into one array in the data folder, from where any is read at once.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.image.picture import Names
from aiexp.dataset.image.shard_index import ShardTable, as_label
from aiexp.errors import ConfigError, DataError, nearest
from aiexp.storage.array import Array
from aiexp.storage.arrays import GrowingArray

# Rows that are in memory at once.
_ROWS = 128


@final
@dataclass(frozen=True, slots=True)
class ArrayPicture:
    """A picture in an array of bytes.

    Args:
        place: Where it came from.
        data: Holds it.
        start: Its first byte.
        size: Its bytes.
    """

    place: str
    data: Array
    start: int
    size: int

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of its bytes, or all."""
        stop = self.size if stop is None else min(stop, self.size)
        return self.data.between(self.start + start, self.start + stop).tobytes()


@final
class ArrayPictures:
    """Pictures in one array of bytes.

    Args:
        data: All of them.
        where: (N, 4) int64; see `ShardTable.add`.
        names: (N,) names, "train-000.parquet/row 17".
    """

    def __init__(self, data: Array, where: NDArray[np.int64], names: Names) -> None:
        self._data, self._where, self._names = data, where, names

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, row: int, /) -> ArrayPicture:
        _, start, size, _ = self._where[row].tolist()
        return ArrayPicture(self._names[row].replace("/", ": ", 1), self._data, start, size)


def copy_parquet(
    number: int, path: Path, columns: tuple[str, str], data: GrowingArray
) -> tuple[dict[str, Any], list[str] | None]:
    """Copies the pictures of a Parquet file.

    Args:
        number: Of the shard among all.
        path: The file.
        columns: Name of the pictures' column and of the classes'.
        data: Gets the encoded pictures at its end.

    Returns:
        table: Of `ShardTable.finish`.
        class_names: What the file calls its class numbers, if it does.

    Raises:
        DataError: it cannot be read, or a row has no picture or class; names it.
        ConfigError: it has no such column.
    """
    table = ShardTable(number, path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(
            "reading Parquet needs pyarrow", where=str(path), fix="pip install 'aiexp[parquet]'"
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            names: list[str] = file.schema_arrow.names
            for key, column in zip(("image_column", "label_column"), columns, strict=True):
                if column not in names:
                    raise ConfigError(
                        f"{path.name} has no column '{column}': they are {', '.join(names)}."
                        f"{nearest(column, names)}",
                        where=key, fix=f"{key}=<one of them>",
                    )  # fmt: skip
            class_names = _class_names(file.schema_arrow.metadata, columns[1])
            for row, (picture, value) in enumerate(_rows(file, columns)):
                place = f"{path}: row {row}"
                label = as_label(value)
                if label is None:
                    raise DataError(
                        f"the class is {value!r}"[:100], where=place, fix="give a number or a name"
                    )
                encoded = _bytes(picture, place)
                table.add(f"row {row}", label, data.length, len(encoded))
                data.append(np.frombuffer(encoded, np.uint8))
    except (pa.ArrowException, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"the Parquet file cannot be read: {first}", where=str(path)) from error
    return table.finish(), class_names


def _rows(file: Any, columns: tuple[str, str]) -> Iterator[tuple[Any, Any]]:
    """A picture and a class of each row."""
    for batch in file.iter_batches(batch_size=_ROWS, columns=list(columns)):
        yield from zip(
            batch.column(columns[0]).to_pylist(), batch.column(columns[1]).to_pylist(), strict=True
        )


def _bytes(value: Any, place: str) -> bytes:
    """The encoded picture of a cell: bytes, or a struct that has `bytes`."""
    data: Any = value.get("bytes") if isinstance(value, dict) else value  # pyright: ignore
    if not isinstance(data, bytes):
        how = "only names a file" if isinstance(value, dict) and value.get("path") else "has no bytes"  # pyright: ignore
        raise DataError(
            f"the picture {how}", where=place, fix="write the encoded pictures into the Parquet file"
        )
    return data


def _class_names(metadata: Any, column: str) -> list[str] | None:
    """The names that Hugging Face's metadata have for the numbers of a column."""
    try:
        feature: Any = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        names: Any = feature["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None  # pyright: ignore
