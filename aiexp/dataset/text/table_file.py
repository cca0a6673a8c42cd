"""Reads a text column and a label column out of a CSV, TSV, JSONL or Parquet file."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiexp.dataset.class_labels import Rows, as_label
from aiexp.errors import DataError, nearest

logger = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t", "|")  # of a file named .csv, the likeliest first
# A cell may be a whole document; Python's own limit is 128 KiB.
csv.field_size_limit(1 << 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One row of a file.

    Args:
        place: Line or row number, from 1.
        cells: Value by column, or the reason why the row cannot be read.
    """

    place: int
    cells: dict[str, Any] | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A file's columns and its rows in order.

    Args:
        columns: All column names.
        records: Read while iterated.
        unit: What `Record.place` counts, for messages.
    """

    columns: list[str]
    records: Iterable[Record]
    unit: str = "line"


def read_table(path: Path, text_column: str, label_column: str, *, skip_bad: bool, key: str) -> Rows:
    """The rows of a file with their raw labels.

    Args:
        path: The suffix says the format.
        text_column: Column with the text.
        label_column: Column with the class.
        skip_bad: Leave out rows that cannot be used and log how many, instead of stopping at the first.
        key: Config key that named the file, for messages.

    Raises:
        DataError: the file or a row of it cannot be used; names file and line.
    """
    where = f"{key}={path}"
    table = _open(path, where)
    for column_key, column in (("text_column", text_column), ("label_column", label_column)):
        if column not in table.columns:
            shown = ", ".join(table.columns)
            raise DataError(
                f"there is no column '{column}': columns are {shown}.{nearest(column, table.columns)}",
                where=where,
                fix=f"{column_key}=<one of the columns>",
            )
    texts, labels, places, problems = _usable(table, path, text_column, label_column)
    if problems and not texts and all("text is empty" in problem for problem in problems):
        raise DataError(f"every text in column '{text_column}' is empty", where=where)
    if problems and not skip_bad:
        raise DataError(
            problems[0] + (f" ({len(problems)} rows like this in all)" if len(problems) > 1 else ""),
            where=where,
            fix="correct the file, or leave such rows out with dataset.on_bad_sample=skip",
        )
    if problems:
        logger.warning("%s: %d rows left out, the first: %s", path, len(problems), problems[0])
    if not texts:
        raise DataError("no usable rows in the file" if problems else "no rows in the file", where=where)
    return Rows(texts=texts, labels=labels, places=places)


def _usable(
    table: Table, path: Path, text_column: str, label_column: str
) -> tuple[list[str], list[int | str], list[str], list[str]]:
    """Texts, labels and places of the good rows, and what is wrong with the others."""
    texts: list[str] = []
    labels: list[int | str] = []
    places: list[str] = []
    problems: list[str] = []
    for record in table.records:
        place = f"{path.name}:{record.place}" if table.unit == "line" else f"{path.name}: row {record.place}"
        try:
            if isinstance(record.cells, str):
                raise ValueError(record.cells)
            text = _as_text(record.cells.get(text_column))
            label = as_label(record.cells.get(label_column))
        except ValueError as error:
            problems.append(f"{error} ({place})")
            continue
        texts.append(text)
        labels.append(label)
        places.append(place)
    return texts, labels, places, problems


def _as_text(value: Any) -> str:
    if value is None or value != value:  # NaN is not equal to itself
        raise ValueError("the text is missing")
    if not isinstance(value, str):
        raise ValueError(f"the text is a {type(value).__name__}, not a string")
    if not value.strip():
        raise ValueError("the text is empty")
    return value


def _open(path: Path, where: str) -> Table:
    """The file as a table, by its suffix."""
    readers: dict[str, Callable[[Path, str], Table]] = {
        ".csv": _open_csv,
        ".tsv": _open_tsv,
        ".tab": _open_tsv,
        ".jsonl": _open_jsonl,
        ".ndjson": _open_jsonl,
        ".parquet": _open_parquet,
    }
    suffix = path.suffix.lower()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        folder = path.parent
        neighbours = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        raise DataError(f"{path} {what}.{nearest(path.name, neighbours)}", where=where)
    if suffix not in readers:
        raise DataError(
            f"a file ending in '{suffix}' cannot be read", where=where, fix=f"one of {', '.join(readers)}"
        )
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=where)
    return readers[suffix](path, where)


def _decoded(path: Path, where: str) -> str:
    """The whole file as text, without a byte-order mark."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}, line {line}",
            where=where,
            fix="save the file as UTF-8 (for example `iconv -f latin1 -t utf-8`)",
        ) from None


def _open_csv(path: Path, where: str) -> Table:
    """Comma-separated; a header in one piece that another separator cuts is not (spreadsheets write `;`)."""
    text = _decoded(path, where)
    header = text.lstrip("\r\n").partition("\n")[0]
    cuts = (d for d in SEPARATORS if len(next(csv.reader([header], delimiter=d), [])) > 1)
    return _open_delimited(text, where, next(cuts, ","), csv.QUOTE_MINIMAL)


def _open_tsv(path: Path, where: str) -> Table:
    """Tab-separated: with quotes when they are well-formed, else every quote is an ordinary character."""
    text = _decoded(path, where)
    try:
        table = _open_delimited(text, where, "\t", csv.QUOTE_MINIMAL)
        return Table(columns=table.columns, records=list(table.records))
    except DataError:
        return _open_delimited(text, where, "\t", csv.QUOTE_NONE)


def _open_delimited(text: str, where: str, delimiter: str, quoting: Any) -> Table:
    # Strict: an unbalanced quote would otherwise swallow the following rows in silence.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        start = 1
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
    _, columns = next(numbered, (1, list[str]()))
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise DataError(f"column '{twice}' occurs twice", where=where)

    def records() -> Iterator[Record]:
        for line, cells in numbered:
            if len(cells) == len(columns):
                yield Record(place=line, cells=dict(zip(columns, cells, strict=True)))
            else:
                yield Record(place=line, cells=f"{len(cells)} cells instead of {len(columns)}")

    return Table(columns=columns, records=records())


def _open_jsonl(path: Path, where: str) -> Table:
    # Only the line feed separates records: a text may contain rarer line separators.
    records = [
        _json_record(i, line) for i, line in enumerate(_decoded(path, where).split("\n"), 1) if line.strip()
    ]
    columns = dict.fromkeys(key for r in records if isinstance(r.cells, dict) for key in r.cells)
    if not columns:
        raise DataError(
            f"no JSON object in the file: {records[0].cells if records else 'only blank lines'}", where=where
        )
    return Table(columns=list(columns), records=records)


def _json_record(number: int, line: str) -> Record:
    try:
        value = json.loads(line)
    except ValueError as error:
        return Record(place=number, cells=f"not JSON: {error}")
    except RecursionError:
        return Record(place=number, cells="not JSON: nested too deeply")
    if not isinstance(value, dict):
        return Record(place=number, cells=f"a {type(value).__name__} instead of an object")
    return Record(place=number, cells=value)


def _open_parquet(path: Path, where: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            "reading Parquet needs pyarrow", where=where, fix="pip install 'aiexp[parquet]'"
        ) from None
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a Parquet file: {str(error).splitlines()[0]}", where=where) from None
    columns: list[str] = list(table.column_names)
    rows = (row for batch in table.to_batches() for row in batch.to_pylist())
    records = (Record(place=i, cells=row) for i, row in enumerate(rows, 1))
    return Table(columns=columns, records=records, unit="row")
