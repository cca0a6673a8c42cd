"""Opens a CSV, TSV, JSONL or Parquet file as a table whose rows are read one by one.

CSV is read by Python's own `csv`: pyarrow's reader is faster, but knows neither the line of a bad row nor
that an unbalanced quote swallowed the rows after it, and reading is a small part of what is done to a row.
"""

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from aiexp.errors import DataError, nearest

SEPARATORS = (",", ";", "\t", "|")  # of a file named .csv, the likeliest first
# A cell may be a whole document; Python's own limit is 128 KiB.
csv.field_size_limit(1 << 30)
_ROWS_AT_ONCE = 8192


# A line or row number; and the cells by column, or the reason why the row cannot be read.
Record = tuple[int, Sequence[Any] | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A file's columns and its rows in order.

    Args:
        columns: Column names: all, or some among which the wanted ones are.
        records: Read while iterated: the cells in the order of `columns`.
        unit: What a record's number counts, for messages.
    """

    columns: list[str]
    records: Iterable[Record]
    unit: str = "line"


def open_table(path: Path, where: str, wanted: Sequence[str]) -> Table:
    """The file as a table with the wanted columns, by its suffix.

    Args:
        path: A file.
        where: The config key and the file, for messages.
        wanted: Columns; where they are not there, the table has the names of all and no use.

    Raises:
        DataError: it cannot be opened; while iterating: it cannot be read on.
    """
    check_file(path, where)
    return _READERS[path.suffix.lower()](path, where, wanted)


def check_file(path: Path, where: str) -> None:
    """Raises `DataError` when a file is not there, is empty or of no known kind."""
    suffix = path.suffix.lower()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        folder = path.parent
        neighbours = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        raise DataError(f"{path} {what}.{nearest(path.name, neighbours)}", where=where)
    if suffix not in _READERS:
        raise DataError(
            f"a file ending in '{suffix}' cannot be read", where=where, fix=f"one of {', '.join(_READERS)}"
        )
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=where)


@contextmanager
def _decoded(path: Path, where: str) -> Generator[TextIO]:
    """The file as text without a byte-order mark, its line ends as they are."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        raise _not_text(path, where) from None


def _not_text(path: Path, where: str) -> DataError:
    """Where a file is not UTF-8."""
    offset = 0
    with path.open("rb") as file:
        for line, data in enumerate(file, 1):
            try:
                data.decode("utf-8")
            except UnicodeDecodeError as error:
                return DataError(
                    f"not UTF-8: byte 0x{data[error.start]:02x} at offset {offset + error.start}, "
                    f"line {line}",
                    where=where,
                    fix="save the file as UTF-8 (for example `iconv -f latin1 -t utf-8`)",
                )
            offset += len(data)
    return DataError("the file changed while it was read", where=where)


def _open_csv(path: Path, where: str, wanted: Sequence[str]) -> Table:
    """Comma-separated; a header in one piece that another separator cuts is not (spreadsheets write `;`)."""
    with _decoded(path, where) as file:
        header = next((line for line in file if line.strip("\r\n")), "")
    cuts = (d for d in SEPARATORS if len(next(csv.reader([header], delimiter=d), [])) > 1)
    return _open_delimited(path, where, next(cuts, ","), csv.QUOTE_MINIMAL)


def _open_tsv(path: Path, where: str, wanted: Sequence[str]) -> Table:
    """Tab-separated: with quotes when they are well-formed, else every quote is an ordinary character."""
    table = _open_delimited(path, where, "\t", csv.QUOTE_MINIMAL)
    try:
        for _ in table.records:
            pass
    except DataError:
        return _open_delimited(path, where, "\t", csv.QUOTE_NONE)
    return _open_delimited(path, where, "\t", csv.QUOTE_MINIMAL)


def _open_delimited(path: Path, where: str, delimiter: str, quoting: Any) -> Table:
    def rows() -> Iterator[Record]:
        start = 1
        with _decoded(path, where) as file:
            # Strict: an unbalanced quote would otherwise swallow the following rows in silence.
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
            try:
                for cells in reader:
                    if cells:
                        yield start, cells
                    start = reader.line_num + 1
            except csv.Error as error:
                raise DataError(
                    f"line {start} cannot be read: {error}",
                    where=where,
                    fix="write a quote inside a cell as two quotes",
                ) from None

    numbered = rows()
    _, header = next(numbered, (1, list[str]()))
    columns = list(header)
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise DataError(f"column '{twice}' occurs twice", where=where)

    def records() -> Iterator[Record]:
        for line, cells in numbered:
            good = len(cells) == len(columns)
            yield line, cells if good else f"{len(cells)} cells instead of {len(columns)}"

    return Table(columns=columns, records=records())


def _open_jsonl(path: Path, where: str, wanted: Sequence[str]) -> Table:
    """Lines of JSON objects; read until the wanted columns were seen, to name the others if they are not."""
    columns: dict[str, None] = {}
    problem = "only blank lines"
    for _, cells in _json_lines(path, where):
        if isinstance(cells, dict):
            columns |= dict.fromkeys(cells)
            if columns.keys() >= set(wanted):
                break
        elif not columns and problem == "only blank lines":
            problem = cells
    if not columns:
        raise DataError(f"no JSON object in the file: {problem}", where=where)

    def records() -> Iterator[Record]:
        for line, cells in _json_lines(path, where):
            yield line, cells if isinstance(cells, str) else [cells.get(column) for column in wanted]

    has_all = bool(wanted) and columns.keys() >= set(wanted)
    return Table(columns=list(wanted if has_all else columns), records=records())


def _json_lines(path: Path, where: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and object, or why there is none; blank lines are left out."""
    try:
        # Only the line feed separates records: a text may contain rarer line separators.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _json_object(line)
    except UnicodeDecodeError:
        raise _not_text(path, where) from None


def _json_object(line: str) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except ValueError as error:
        return f"not JSON: {error}"
    except RecursionError:
        return "not JSON: nested too deeply"
    return value if isinstance(value, dict) else f"a {type(value).__name__} instead of an object"


def _open_parquet(path: Path, where: str, wanted: Sequence[str]) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            "reading Parquet needs pyarrow", where=where, fix="pip install 'aiexp[parquet]'"
        ) from None
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a Parquet file: {str(error).splitlines()[0]}", where=where) from None
    columns: list[str] = list(file.schema_arrow.names)
    if not set(wanted) <= set(columns):
        return Table(columns=columns, records=(), unit="row")

    def records() -> Iterator[Record]:
        batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(wanted))
        cells = ([batch.column(name).to_pylist() for name in wanted] for batch in batches)
        try:
            yield from enumerate(chain.from_iterable(zip(*part, strict=True) for part in cells), 1)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"the file is damaged: {str(error).splitlines()[0]}", where=where) from None

    return Table(columns=list(wanted), records=records(), unit="row")


_READERS: dict[str, Callable[[Path, str, Sequence[str]], Table]] = {
    ".csv": _open_csv,
    ".tsv": _open_tsv,
    ".tab": _open_tsv,
    ".jsonl": _open_jsonl,
    ".ndjson": _open_jsonl,
    ".parquet": _open_parquet,
}
