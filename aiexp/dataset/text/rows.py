"""Labelled texts out of a table, in parts of a few MB, and what is wrong with rows that cannot be used."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from aiexp.dataset.class_labels import as_label
from aiexp.dataset.text.table_file import Record, open_table
from aiexp.errors import DataError, nearest

logger = logging.getLogger(__name__)

# A part ends with whichever comes first.
_PART_ROWS = 8192
_PART_CHARACTERS = 8_000_000
_EMPTY = "the text is empty"


@dataclass(kw_only=True, slots=True)
class Rows:
    """Usable rows of a file or table.

    Args:
        texts: (N,) strings, never empty.
        labels: (N,) whole numbers or names.
        others: (N,) cells of one more column, if it was asked for.
        numbers: (N,) line or row of each, from 1.
        where: How `place` says it: "reviews.csv:{}".
    """

    where: str
    texts: list[str] = field(default_factory=list[str])
    labels: list[int | str] = field(default_factory=list[int | str])
    others: list[Any] = field(default_factory=list[Any])
    numbers: Sequence[int] = field(default_factory=list[int])

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return self.where.format(self.numbers[row])


def read_table(
    path: Path, text_column: str, label_column: str, *, skip_bad: bool, key: str, other: str | None = None
) -> Iterator[Rows]:
    """The rows of a file with their labels, a part at a time, each part anew.

    Args:
        path: The suffix says the format.
        text_column: Column with the text.
        label_column: Column with the class.
        skip_bad: Leave out rows that cannot be used and log how many, instead of an error at the end.
        key: Config key that named the file, for messages.
        other: One more column that is wanted.

    Raises:
        DataError: the file or a row of it cannot be used; names file and line.
    """
    where = f"{key}={path}"
    wanted = {"text_column": text_column, "label_column": label_column}
    if other is not None:
        wanted["column"] = other
    table = open_table(path, where, list(dict.fromkeys(wanted.values())))
    for column_key, column in wanted.items():
        if column not in table.columns:
            shown, fix = ", ".join(table.columns), f"{column_key}=<one of the columns>"
            if separator := _other_separator(table.columns, {text_column, label_column}):
                fix = f"'{separator}' seems to separate the columns: save the file with commas instead"
            raise DataError(
                f"there is no column '{column}': columns are {shown}.{nearest(column, table.columns)}",
                where=where, fix=fix,
            )  # fmt: skip
    places = f"{path.name}:{{}}" if table.unit == "line" else f"{path.name}: row {{}}"
    columns = [table.columns.index(column) for column in wanted.values()]
    bad = _BadRows(path, where, text_column, skip_bad)
    yield from _parts(table.records, columns, places, bad)
    bad.judge()


def _other_separator(columns: list[str], wanted: set[str]) -> str | None:
    """The character that cuts a header in one piece into the columns asked for, if there is one."""
    header = columns[0] if len(columns) == 1 else ""
    cuts = (
        c
        for c in dict.fromkeys(header)
        if not c.isspace() and wanted <= {part.strip(" '\"") for part in header.split(c)}
    )
    return next(cuts, None)


def _parts(records: Iterable[Record], columns: list[int], where: str, bad: "_BadRows") -> Iterator[Rows]:
    """The good rows in parts; the others are told to `bad`."""
    text_at, label_at, *others_at = columns
    label_of: dict[Any, int | str] = {}  # of names that were seen: most rows have one
    numbers: list[int] = []
    rows, characters = Rows(where=where, numbers=numbers), 0
    for number, cells in records:
        try:
            if isinstance(cells, str):
                raise ValueError(cells)
            text, raw = _as_text(cells[text_at]), cells[label_at]
            label = label_of.get(raw) if isinstance(raw, str) else as_label(raw)
            if label is None:
                label = label_of[raw] = as_label(raw)
        except ValueError as error:
            bad.add(str(error), where.format(number))
            continue
        rows.texts.append(text)
        rows.labels.append(label)
        rows.others += [cells[at] for at in others_at]
        numbers.append(number)
        characters += len(text)
        if len(numbers) == _PART_ROWS or characters > _PART_CHARACTERS:
            bad.num_good += len(numbers)
            yield rows
            numbers, characters = [], 0
            rows = Rows(where=where, numbers=numbers)
    bad.num_good += len(numbers)
    if numbers:
        yield rows


@final
class _BadRows:
    """Counts the rows that cannot be used."""

    def __init__(self, path: Path, where: str, text_column: str, skip: bool) -> None:
        self._path, self._where, self._text_column, self._skip = path, where, text_column, skip
        self._first = ""
        self._count = self._num_empty = self.num_good = 0

    def add(self, reason: str, place: str) -> None:
        """One more."""
        self._first = self._first or f"{reason} ({place})"
        self._count += 1
        self._num_empty += reason == _EMPTY

    def judge(self) -> None:
        """Stops at the end of the file, or says how many were left out.

        Raises:
            DataError: there are bad rows that may not be skipped, or no good ones.
        """
        if self._count and not self.num_good and self._num_empty == self._count:
            raise DataError(f"every text in column '{self._text_column}' is empty", where=self._where)
        if self._count and not self._skip:
            raise DataError(
                self._first + (f" ({self._count} rows like this in all)" if self._count > 1 else ""),
                where=self._where,
                fix="correct the file, or leave such rows out with dataset.on_bad_sample=skip",
            )
        if self._count:
            logger.warning("%s: %d rows left out, the first: %s", self._path, self._count, self._first)
        if not self.num_good:
            what = "no usable rows in the file" if self._count else "no rows in the file"
            raise DataError(what, where=self._where)


def _as_text(value: Any) -> str:
    if value is None or value != value:  # NaN is not equal to itself
        raise ValueError("the text is missing")
    if not isinstance(value, str):
        raise ValueError(f"the text is a {type(value).__name__}, not a string")
    if not value or value.isspace():
        raise ValueError(_EMPTY)
    return value
