"""Turns the labels of a user's data, names or numbers, into class numbers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError, nearest

logger = logging.getLogger(__name__)

# Names shown in a message before the rest is cut.
_SHOWN = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Raw rows of a file or table.

    Args:
        texts: (N,) strings, never empty.
        labels: (N,) whole numbers or strings, as read.
        places: (N,) where each row is, for messages: "reviews.csv:17".
    """

    texts: list[str]
    labels: list[int | str]
    places: Sequence[str]


def as_label(value: object) -> int | str:
    """A label cell as a whole number or a name; numbers written as text become numbers.

    Raises:
        ValueError: missing, or neither; the text says which.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | np.integer):
        return int(value)
    # A column of whole numbers with gaps arrives as floats.
    if isinstance(value, float | np.floating) and np.isfinite(value):
        if float(value).is_integer():
            return int(value)
        raise ValueError(f"label {value} is not a class: classes are names or whole numbers")
    if isinstance(value, str) and value.strip():
        value = value.strip()
        is_number = value.removeprefix("-").isascii() and value.removeprefix("-").isdigit()
        return int(value) if is_number and str(int(value)) == value else value
    if value is None or isinstance(value, str | float | np.floating):
        raise ValueError("the label is missing")
    raise ValueError(f"the label is a {type(value).__name__}, not a name or a whole number")


def infer_class_names(rows: Rows) -> list[str]:
    """The classes that occur, numbers in their order, names in alphabetical order.

    Raises:
        DataError: numbers and names are mixed, or every row has a class of its own.
    """
    kinds = {type(label): i for i, label in reversed(list(enumerate(rows.labels)))}
    if len(kinds) > 1:
        number, name = kinds[int], kinds[str]
        raise DataError(
            f"labels are mixed: number {rows.labels[number]} ({rows.places[number]}) and "
            f"name '{rows.labels[name]}' ({rows.places[name]})",
            where=rows.places[name],
            fix="write all labels the same way, or list them in dataset.class_names",
        )
    classes = sorted(set(rows.labels))  # pyright: ignore[reportArgumentType]  # one type, checked above
    if len(classes) == len(rows.labels) > 2:
        raise DataError(
            f"each of the {len(classes)} rows has a label of its own",
            where=rows.places[0],
            fix="label_column=<the column that holds the class>",
        )
    class_names = [str(label) for label in classes]
    note_case(class_names, rows.places[0].partition(":")[0] if rows.places else "")
    return class_names


def note_case(class_names: Sequence[str], where: str) -> None:
    """Says which classes differ only in case; they stay classes of their own, for they may be meant."""
    by_letters: dict[str, list[str]] = {}
    for name in class_names:
        by_letters.setdefault(name.strip().casefold(), []).append(name)
    alike = [" and ".join(map(repr, names)) for names in by_letters.values() if len(names) > 1]
    if alike:
        logger.warning("%s: classes that differ only in case: %s", where, ", ".join(alike[:_SHOWN]))


def class_numbers(rows: Rows, class_names: list[str]) -> NDArray[np.int64]:
    """(N,) int64: each label's position in `class_names`.

    A label is one of the names; else, when all labels are whole numbers, it is the position itself.

    Raises:
        DataError: a label is neither.
    """
    position = {name: i for i, name in enumerate(class_names)}
    named = [str(label) in position for label in rows.labels]
    if rows.labels and not any(named) and all(isinstance(label, int) for label in rows.labels):
        numbers = np.array(rows.labels, np.int64)
        outside = np.flatnonzero((numbers < 0) | (numbers >= len(class_names)))
        if outside.size:
            raise DataError(
                f"label {numbers[outside[0]]} is out of range 0..{len(class_names) - 1}",
                where=rows.places[int(outside[0])],
                fix="labels count from 0 in the order of dataset.class_names",
            )
        return numbers
    if not all(named):
        row = named.index(False)
        label = str(rows.labels[row])
        shown = ", ".join(class_names[:_SHOWN]) + (", ..." if len(class_names) > _SHOWN else "")
        raise DataError(
            f"label '{label}' is not a class: they are {shown}.{nearest(label, class_names)}",
            where=rows.places[row],
            fix="correct it, or add it to dataset.class_names",
        )
    return np.array([position[str(label)] for label in rows.labels], np.int64)
