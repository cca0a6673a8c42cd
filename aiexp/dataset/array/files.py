"""The user's own arrays: .npz files, folders of .npy files, tables of numbers."""

import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.array.dataset import LABELS, ArrayDataset, X, Y
from aiexp.dataset.array.rows import RowBatching, cut_off
from aiexp.dataset.class_labels import LabelCodes, as_label, class_numbers, infer_class_names
from aiexp.dataset.text.table_file import open_table
from aiexp.errors import ConfigError, DataError, nearest
from aiexp.ranges import Share

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet")
_SHOWN = 8
_NO_COLUMN = "\0"  # asked for it, a table has the names of all
_DAMAGED = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_NO_CLASSES = "target_is=numbers, or target=<the classes>"


class FileBatching(RowBatching):
    """Arguments of data sets whose missing splits are cut off the training rows.

    Args:
        eval_fraction: Share cut off for validation when there is no `eval_file`; of each class.
        test_fraction: Share cut off for the test when there is no `test_file`; of each class.
    """

    eval_fraction: Share
    test_fraction: Share


class Columns(TypedDict):
    """What is read of a file: arguments of `array_files`."""

    input: str
    target: str
    target_is: Literal["classes", "numbers"]
    columns: list[str] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a file holds.

    Args:
        x: (N, ...) inputs.
        y: (N,) labels, or (N, ...) numbers to be found.
        place: Where the row of an index is, for messages.
        names: Of a table's columns.
    """

    x: NDArray[Any]
    y: NDArray[Any] | list[int | str]
    place: Callable[[int], str]
    names: tuple[str, ...] = ()


def array_files(
    *,
    train_file: str,
    eval_file: str | None,
    test_file: str | None,
    input: str,
    target: str,
    target_is: Literal["classes", "numbers"],
    columns: list[str] | None,
    **batching: Unpack[FileBatching],
) -> ArrayDataset:
    """Arrays of one, two or three files, in memory; what has no file of its own is cut off the training rows.

    A batch holds `x`, and of classes `labels`, of numbers `y`, (B,) or (B, T) float32.

    Args:
        train_file: .npz, a folder of .npy files called as their arrays, or a table (CSV, TSV, JSONL or
            Parquet).
        eval_file: Likewise for validation, None to cut it off.
        test_file: Likewise for the test, None to cut it off.
        input: Name of the array to learn from, (N, ...) numbers; of a table nothing.
        target: Name of the array, or the column of a table, with what is to be found, (N,).
        target_is: "classes": names or whole numbers; "numbers": any, also (N, T).
        columns: Columns of a table to learn from; None for all but the target.
        batching: See `FileBatching`.

    Raises:
        DataError: a file cannot be used; names it and what is wrong.
        ConfigError: nothing would be left for training.
    """
    wanted: Columns = {"input": input, "target": target, "target_is": target_is, "columns": columns}
    fractions = {"eval": batching["eval_fraction"], "test": batching["test_fraction"]}
    given = {"train": train_file, "eval": eval_file, "test": test_file}
    parts = {
        split: read_part(Path(name).expanduser(), f"{split}_file={name}", wanted)
        for split, name in given.items()
        if name is not None
    }
    key, class_names = Y, None
    ys: dict[str, Any] = {split: part.y for split, part in parts.items()}
    labels = np.zeros(len(ys["train"]), np.int64)
    if target_is == "classes":
        ys, class_names = as_classes(parts)
        key, labels = LABELS, ys["train"]
    splits: dict[str, dict[str, Any]] = {split: {X: part.x, key: ys[split]} for split, part in parts.items()}
    whole, rows = splits["train"], cut_off(labels, splits, fractions)
    splits |= {split: {name: array[part] for name, array in whole.items()} for split, part in rows.items()}
    names, rest = parts["train"].names, without_fractions(batching)
    return ArrayDataset(arrays=splits, class_names=class_names, feature_names=names, **rest)


def without_fractions(batching: FileBatching) -> RowBatching:
    """What is left to say when splits have been made."""
    return {
        "batch_size": batching["batch_size"],
        "eval_batch_size": batching["eval_batch_size"],
        "seed": batching["seed"],
        "drop_last": batching["drop_last"],
        "limit": batching["limit"],
    }


def read_part(path: Path, where: str, wanted: Columns) -> Part:
    """Inputs and targets of one file, a row each.

    Raises:
        DataError: it cannot be read, lacks an array, or has not as many inputs as targets.
    """
    if path.suffix.lower() in TABLES:
        return _read_table(path, where, wanted)
    with _opened(path, where) as arrays:
        x, y = (_named(arrays, wanted[role], role, where) for role in ("input", "target"))
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        what = f"inputs and targets are {x.shape} and {y.shape}"
        raise DataError(what, where=where, fix="a row for each example in both")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    place = partial("{}: row {}".format, where)
    return Part(x, labels_of(y, where) if wanted["target_is"] == "classes" else y, place)


@contextmanager
def _opened(path: Path, where: str) -> Generator[Mapping[str, Any]]:
    """The arrays of a file or folder by name, read when asked for in the body.

    Raises:
        DataError: it is not there, or of no known kind.
    """
    if path.is_dir():
        found = {each.stem: each for each in sorted(path.glob("*.npy"))}
        if not found:
            raise DataError("the folder holds no .npy files", where=where)
        yield _Files(found)
        return
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise DataError(f"{path} does not exist.{near}", where=where)
    if path.suffix.lower() != ".npz":
        raise DataError(
            f"a file ending in '{path.suffix}' cannot be read", where=where,
            fix=f".npz, a folder of .npy files, or one of {', '.join(TABLES)}",
        )  # fmt: skip
    with path.open("rb") as file:
        try:
            arrays: Any = np.load(file, allow_pickle=False)
        except _DAMAGED as error:
            raise DataError(f"this is no .npz file: {error}", where=where) from error
        if not isinstance(arrays, Mapping):
            raise DataError("this is a single array, not several by name", where=where, fix="np.savez")
        yield arrays


class _Files(Mapping[str, Any]):
    """The .npy files of a folder by their stems."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def __getitem__(self, key: str, /) -> Any:
        return np.load(self._paths[key], allow_pickle=False)

    def __iter__(self) -> Any:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _named(arrays: Mapping[str, Any], name: str, role: str, where: str) -> NDArray[Any]:
    """One array.

    Raises:
        DataError: there is none of this name, or it cannot be read.
    """
    if name not in arrays:
        listed = ", ".join(list(arrays)[:_SHOWN]) or "none"
        raise DataError(
            f"there is no array '{name}': there are {listed}.{nearest(name, list(arrays))}",
            where=where, fix=f"{role}=<the array to {'learn from' if role == 'input' else 'find'}>",
        )  # fmt: skip
    try:
        return np.asarray(arrays[name])
    except _DAMAGED as error:
        raise DataError(f"array '{name}' cannot be read: {error}", where=where) from error


def _read_table(path: Path, where: str, wanted: Columns) -> Part:
    """The rows of a table: a column of targets, numbers in the others.

    Raises:
        DataError: a column is not there, or a cell holds no number; names the line.
    """
    names = _columns(open_table(path, where, [_NO_COLUMN]).columns, where, wanted)
    asked, is_classes = [*names, wanted["target"]], wanted["target_is"] == "classes"
    table = open_table(path, where, asked)
    *places, target = (table.columns.index(name) for name in asked)
    x: list[list[float]] = []
    y: list[Any] = []
    lines: list[int] = []
    for number, cells in table.records:
        line = f"{where}: {table.unit} {number}"
        if isinstance(cells, str):
            raise DataError(cells, where=line)
        x.append([_number(cells[i], name, line) for i, name in zip(places, names, strict=True)])
        cell = cells[target]
        y.append(_label(cell, line) if is_classes else _number(cell, wanted["target"], line))
        lines.append(number)
    if not x:
        raise DataError("the table has no rows", where=where)
    return Part(
        np.array(x, np.float64),
        y if is_classes else np.array(y),
        lambda row: f"{where}: {table.unit} {lines[row]}",
        tuple(names),
    )


def _columns(there: list[str], where: str, wanted: Columns) -> list[str]:
    """The columns of a table to learn from.

    Raises:
        DataError: one of them, or that of the target, is not there.
        ConfigError: there are none, or the target is among them.
    """
    target, given = wanted["target"], wanted["columns"]
    names = [name for name in there if name != target] if given is None else given
    if given is not None and target in given:
        raise ConfigError(
            f"column '{target}' is to be found, and would be learned from", where="columns",
            fix=f"columns=[those without {target}], or target=<another column>",
        )  # fmt: skip
    for name in [*names, target]:
        if name not in there:
            listed = ", ".join(there[:_SHOWN]) + (", ..." if there[_SHOWN:] else "")
            raise DataError(
                f"there is no column '{name}'.{nearest(name, there)}", where=where,
                fix=f"{'target=<column to find>' if name == target else 'columns=[...]'}: there are {listed}",
            )  # fmt: skip
    if not names:
        raise ConfigError(
            "there is no column to learn from", where="columns" if given is not None else where,
            fix="columns=[those to learn from], or columns=null for all but the target",
        )  # fmt: skip
    return names


def _number(cell: Any, column: str, where: str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        shown = "empty" if cell is None or not str(cell).strip() else f"'{str(cell)[:40]}'"
        raise DataError(
            f"column '{column}' is {shown}, not a number", where=where,
            fix="columns=[those to learn from], or fill in what is missing",
        ) from None  # fmt: skip


def _label(cell: Any, where: str) -> int | str:
    try:
        return as_label(cell)
    except ValueError as error:
        raise DataError(str(error), where=where, fix=_NO_CLASSES) from None


def labels_of(values: NDArray[Any], where: str) -> list[int | str]:
    """The label of each row of an array.

    Args:
        values: (N,) names, as text or bytes, or whole numbers.
        where: Of the file, for messages.

    Raises:
        DataError: they are no classes; names the first row of which this is seen.
    """
    if values.ndim != 1 or values.dtype.kind not in "iufbUS":
        what = f"the target holds {values.dtype} of shape {values.shape}, not a class for each row"
        raise DataError(what, where=where, fix=_NO_CLASSES)
    different, firsts, numbers = np.unique(values, return_index=True, return_inverse=True)
    found: dict[int, int | str] = {}
    for number in np.argsort(firsts).tolist():
        place, value = f"{where}: row {firsts[number]}", different[number].item()
        try:
            found[number] = _label(value.decode() if isinstance(value, bytes) else value, place)
        except UnicodeDecodeError as error:
            what = f"the label {value!r} is not UTF-8: {error.reason}"
            raise DataError(what, where=place, fix="save the names as text, not as bytes") from None
    return [found[number] for number in numbers.tolist()]


def as_classes(parts: Mapping[str, Part]) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Class numbers (N,) int64 of each split, and the names of the classes that the training split has.

    Args:
        parts: Split to what its file holds, labels as its targets.

    Raises:
        DataError: they are no classes, or a split has one that the training split has not.
    """
    codes = LabelCodes("target", choice=_NO_CLASSES, can_list=False)
    seen: dict[str, NDArray[np.int64]] = {}
    class_names: list[str] = []
    for split, part in parts.items():  # "train" is the first
        seen[split] = codes.add(list(part.y), part.place)
        class_names = class_names or infer_class_names(codes)
    numbers = class_numbers(codes, class_names)
    return {split: numbers[own] for split, own in seen.items()}, class_names
