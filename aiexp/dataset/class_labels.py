"""Turns the labels of a user's data, names or numbers, into class numbers."""

import logging
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import DataError, nearest

logger = logging.getLogger(__name__)

# Names shown in a message before the rest is cut.
_SHOWN = 8
MOST_CLASSES = 100_000


@final
class LabelCodes:
    """Numbers the different labels of a stream of rows in the order of their first occurrence.

    Args:
        source: File or data set, for messages.
        choice: What to type where these are no classes.
        can_list: Whether the data set has `class_names` to list them in.
    """

    def __init__(
        self,
        source: str,
        *,
        choice: str = "label_column=<the column that holds the class>",
        can_list: bool = True,
    ) -> None:
        self.source, self.choice, self.can_list = source, choice, can_list
        self.num_rows = 0
        self.code_of: dict[int | str, int] = {}
        self.places: list[str] = []  # of each label's first occurrence: "reviews.csv:17"

    def add(self, labels: Sequence[int | str], place: Callable[[int], str]) -> NDArray[np.int64]:
        """(B,) the codes of the next rows.

        Args:
            labels: (B,) whole numbers or names.
            place: Where the row of an index below B is.

        Raises:
            DataError: there are more than `MOST_CLASSES` labels.
        """
        self.num_rows += len(labels)
        for row, label in enumerate(labels):
            if label not in self.code_of:
                self.code_of[label] = len(self.places)
                self.places.append(place(row))
        if len(self.places) > MOST_CLASSES:
            raise DataError(
                f"there are more than {MOST_CLASSES:,} different labels",
                where=self.source,
                fix=self.choice,
            )
        return np.fromiter(map(self.code_of.__getitem__, labels), np.int64, len(labels))


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


def infer_class_names(codes: LabelCodes) -> list[str]:
    """The classes that occur, numbers in their order, names in alphabetical order.

    Raises:
        DataError: numbers and names are mixed, or every row has a class of its own.
    """
    labels = list(codes.code_of)
    kinds = {type(label): i for i, label in reversed(list(enumerate(labels)))}
    if len(kinds) > 1:
        number, name = kinds[int], kinds[str]
        raise DataError(
            f"labels are mixed: number {labels[number]} ({codes.places[number]}) and "
            f"name '{labels[name]}' ({codes.places[name]})",
            where=codes.places[name],
            fix="write all labels the same way"
            + (", or list them in dataset.class_names" if codes.can_list else ""),
        )
    classes = sorted(labels)  # pyright: ignore[reportArgumentType]  # one type, checked above
    if len(classes) == codes.num_rows > 2:
        raise DataError(
            f"each of the {len(classes)} rows has a label of its own",
            where=codes.places[0],
            fix=codes.choice,
        )
    class_names = [str(label) for label in classes]
    note_case(class_names, codes.places[0].partition(":")[0] if codes.places else "")
    return class_names


def note_case(class_names: Sequence[str], where: str) -> None:
    """Says which classes differ only in case; they stay classes of their own, for they may be meant."""
    by_letters: dict[str, list[str]] = {}
    for name in class_names:
        by_letters.setdefault(name.strip().casefold(), []).append(name)
    alike = [" and ".join(map(repr, names)) for names in by_letters.values() if len(names) > 1]
    if alike:
        logger.warning("%s: classes that differ only in case: %s", where, ", ".join(alike[:_SHOWN]))


def class_numbers(codes: LabelCodes, class_names: list[str]) -> NDArray[np.int64]:
    """(codes,) int64: the position in `class_names` of each code's label.

    A label is one of the names; else, when all labels are whole numbers, it is the position itself.

    Raises:
        DataError: a label is neither.
    """
    labels = list(codes.code_of)
    position = {name: i for i, name in enumerate(class_names)}
    named = [str(label) in position for label in labels]
    if labels and not any(named) and all(isinstance(label, int) for label in labels):
        for label, place in zip(labels, codes.places, strict=True):
            if not 0 <= int(label) < len(class_names):
                raise DataError(
                    f"label {label} is out of range 0..{len(class_names) - 1}",
                    where=place,
                    fix="labels count from 0 in the order of dataset.class_names",
                )
        return np.array(labels, np.int64)
    if not all(named):
        row = named.index(False)
        label = str(labels[row])
        shown = ", ".join(class_names[:_SHOWN]) + (", ..." if len(class_names) > _SHOWN else "")
        raise DataError(
            f"label '{label}' is not a class: they are {shown}.{nearest(label, class_names)}",
            where=codes.places[row],
            fix=f"correct it, or {'add it to dataset.class_names' if codes.can_list else 'train on it too'}",
        )
    return np.array([position[str(label)] for label in labels], np.int64)
