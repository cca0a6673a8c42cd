"""Inputs out of words of a command line: files, folders, tables, lines, stdin; read one by one."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from aiexp.dataset.image.file import SUFFIXES, is_hidden
from aiexp.dataset.text.table_file import open_table
from aiexp.errors import DataError, nearest
from aiexp.prediction.inputs import Inputs

TABLES = frozenset((".csv", ".tsv", ".jsonl", ".parquet"))
# Ends of words that are meant as files, also where any other word is an input by itself.
NAMES_OF_FILES = TABLES | SUFFIXES | {".txt"}
LONGEST_LINE = 10_000_000  # characters


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    Args:
        name: Where it comes from: `reviews.csv:17`.
        value: What `Inputs.prepare` takes; a `DataError` that says why it could not be read.
    """

    name: str
    value: Any


def read_items(words: Sequence[str], inputs: Inputs, column: str, run: str) -> Iterator[Item]:
    """The inputs that words stand for, in order.

    Args:
        words: Files, folders, "-" for lines of stdin, and where the kind allows it inputs themselves.
        inputs: Their kind.
        column: Of tables; "" takes the only one, or the one called as the kind.
        run: What they are for, in messages.

    Raises:
        DataError: a file or a folder that is not there or cannot be opened, an unknown column.
    """
    for word in words:
        path = Path(word).expanduser()
        if word == "-":
            yield from _lines(sys.stdin, "stdin", inputs)
        elif word.strip() and _exists(path):
            yield from _from_path(path, inputs, column)
        elif inputs.is_word and not _names_file(word):
            yield Item(word if len(word) <= 40 else word[:37] + "...", word)
        else:
            raise DataError(
                "there is no such file or folder", where=word,
                fix=f"{run} takes {inputs.noun}, such as: {inputs.example}",
            )  # fmt: skip


def _names_file(word: str) -> bool:
    """Whether a word can only be meant as a file: `reviews.csv`; a text that ends so comes by stdin."""
    return not any(map(str.isspace, word)) and os.path.splitext(word)[1].lower() in NAMES_OF_FILES


def _exists(path: Path) -> bool:
    """Whether a file or folder lies there; a text that is too long for a path is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _from_path(path: Path, inputs: Inputs, column: str) -> Iterator[Item]:
    if path.is_dir():
        yield from _from_folder(path, inputs)
    elif path.suffix.lower() in inputs.suffixes:
        yield Item(str(path), str(path))
    elif path.suffix.lower() in TABLES:
        yield from _rows(path, inputs, column)
    else:
        if b"\0" in _head(path):
            raise DataError(
                "this is no text file", where=str(path),
                fix=f"{inputs.noun}, or a table: {', '.join(sorted(TABLES))}",
            )  # fmt: skip
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
            yield from _lines(lines, str(path), inputs)


def _head(path: Path) -> bytes:
    """The beginning of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def _from_folder(path: Path, inputs: Inputs) -> Iterator[Item]:
    """Every file of the kind in and below a folder, in the order of their names; never all at once."""
    if not inputs.suffixes:
        raise DataError(
            "this is a folder", where=str(path), fix="name files: texts come from tables and lines"
        )
    found = 0
    for name in _walk(path):
        if os.path.splitext(name)[1].lower() in inputs.suffixes:
            found += 1
            yield Item(name, name)
    if not found:
        raise DataError(f"the folder holds nothing that is {inputs.noun}", where=str(path))


def _walk(path: Path) -> Iterator[str]:
    """Files below a folder, sorted folder by folder."""
    try:
        with os.scandir(path) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder cannot be listed: {error.strerror}", where=str(path)) from error
    for entry in ordered:
        if is_hidden(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield entry.path


def _lines(lines: TextIO, name: str, inputs: Inputs) -> Iterator[Item]:
    """An input for each line; the empty ones are passed over."""
    number = 0
    while line := lines.readline(LONGEST_LINE):
        number += 1
        value: Any = line.rstrip("\r\n")
        if not value.strip():
            continue
        if not line.endswith("\n") and len(line) == LONGEST_LINE:
            raise DataError(f"line {number} has more than {LONGEST_LINE:,} characters", where=name)
        if not value.isascii() and any("\udc80" <= c <= "\udcff" for c in value):
            value = DataError("the line is not UTF-8")
        yield Item(f"{name}:{number}", value)


def _rows(path: Path, inputs: Inputs, column: str) -> Iterator[Item]:
    """An input for each row of a table."""
    where = str(path)
    wanted = [column] if column else list(inputs.columns)
    table = open_table(path, where, wanted)
    if inputs.columns and not column:
        places = _columns(table.columns, inputs, where)
    else:
        places = [_column(table.columns, inputs, column, where)]
    for number, cells in table.records:
        if isinstance(cells, str):
            yield Item(f"{path}:{number}", DataError(cells))
            continue
        values = [cells[place] for place in places]
        yield Item(f"{path}:{number}", values if inputs.columns and not column else values[0])


def _columns(columns: Sequence[str], inputs: Inputs, where: str) -> list[int]:
    """Where the columns are that make an input together.

    Raises:
        DataError: one is not there.
    """
    for name in inputs.columns:
        if name not in columns:
            raise DataError(
                f"there is no column '{name}'.{nearest(name, columns)}", where=where,
                fix="an example is made of " + ", ".join(inputs.columns[:10])
                + (", ..." if inputs.columns[10:] else ""),
            )  # fmt: skip
    return [list(columns).index(name) for name in inputs.columns]


def _column(columns: Sequence[str], inputs: Inputs, column: str, where: str) -> int:
    """Which column holds the inputs.

    Raises:
        DataError: that is not said, or it is not there.
    """
    if not column:
        guesses = [name for name in columns if name.lower() == inputs.noun.split()[-1]]
        column = columns[0] if len(columns) == 1 else guesses[0] if len(guesses) == 1 else ""
    if column in columns:
        return list(columns).index(column)
    names = ", ".join(columns[:10]) + (", ..." if columns[10:] else "")
    if not column:
        raise DataError(f"which column? The table has {names}", where=where, fix="--column NAME")
    raise DataError(f"there is no column '{column}'.{nearest(column, columns)}", where=where, fix=names)


def named(values: Iterable[Any]) -> Iterator[Item]:
    """Values that come from no file, such as seeds."""
    return (Item(str(value), value) for value in values)
