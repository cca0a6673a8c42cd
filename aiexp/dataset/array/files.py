"""The user's own arrays: .npz files, folders of .npy files, tables of numbers."""

import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.array.dataset import LABELS, ArrayDataset, X, Y
from aiexp.dataset.array.rows import RowBatching, divided
from aiexp.dataset.text.table_file import open_table
from aiexp.errors import DataError, nearest
from aiexp.ranges import Share

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet")
_SHOWN = 8
_NO_COLUMN = "\0"  # asked for it, a table has the names of all


class FileBatching(RowBatching):
    """Arguments of data sets whose missing splits are cut off the training rows.

    Args:
        eval_fraction: Share cut off for validation when there is no `eval_file`; of each class.
        test_fraction: Share cut off for the test when there is no `test_file`; of each class.
    """

    eval_fraction: Share
    test_fraction: Share


class Columns(TypedDict):
    """What is read of a file.

    Args:
        input: Name of the array to learn from, (N, ...) numbers; of a table nothing.
        target: Name of the array, or the column of a table, with what is to be found, (N,).
        target_is: "classes": names or whole numbers; "numbers": any.
        columns: Columns of a table to learn from; None for all but the target.
    """

    input: str
    target: str
    target_is: Literal["classes", "numbers"]
    columns: list[str] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a file holds: inputs (N, ...), targets (N,), and the names of a table's columns."""

    x: NDArray[Any]
    y: NDArray[Any]
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
        input: See `Columns`.
        target: See `Columns`.
        target_is: See `Columns`.
        columns: See `Columns`.
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
    names, class_names = parts["train"].names, None
    ys = {split: part.y for split, part in parts.items()}
    if target_is == "classes":
        ys, class_names = as_classes(ys, target)
    key = LABELS if target_is == "classes" else Y
    splits: dict[str, dict[str, Any]] = {split: {X: part.x, key: ys[split]} for split, part in parts.items()}
    missing = {split: share for split, share in fractions.items() if split not in splits and share}
    if missing:
        whole = splits["train"]
        labels = ys["train"] if target_is == "classes" else np.zeros(len(ys["train"]), np.int64)
        rows = divided(labels, missing)
        splits |= {name: {k: array[part] for k, array in whole.items()} for name, part in rows.items()}
    rest = without_fractions(batching)
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
        part = _read_table(path, where, wanted)
    else:
        with _opened(path, where) as arrays:
            x, y = (_named(arrays, wanted[role], role, where) for role in ("input", "target"))
        part = Part(x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)
    if part.x.ndim < 1 or part.y.ndim < 1 or len(part.x) != len(part.y):
        shapes = f"{part.x.shape} and {part.y.shape}"
        raise DataError(f"inputs and targets are {shapes}", where=where, fix="a row for each example in both")
    return part


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
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"array '{name}' cannot be read: {error}", where=where) from error


def _read_table(path: Path, where: str, wanted: Columns) -> Part:
    """The rows of a table: a column of targets, numbers in the others.

    Raises:
        DataError: a column is not there, or a cell holds no number; names the line.
    """
    there = open_table(path, where, [_NO_COLUMN]).columns
    names = wanted["columns"] or [name for name in there if name != wanted["target"]]
    asked = [*names, wanted["target"]]
    for name in asked:
        if name not in there:
            listed = ", ".join(there[:_SHOWN]) + (", ..." if there[_SHOWN:] else "")
            raise DataError(
                f"there is no column '{name}'.{nearest(name, there)}", where=where,
                fix=f"target=<column to find>: there are {listed}",
            )  # fmt: skip
    table = open_table(path, where, asked)
    *places, target = (table.columns.index(name) for name in asked)
    x: list[list[float]] = []
    y: list[Any] = []
    for number, cells in table.records:
        line = f"{where}: {table.unit} {number}"
        if isinstance(cells, str):
            raise DataError(cells, where=line)
        x.append([_number(cells[i], name, line) for i, name in zip(places, names, strict=True)])
        cell = cells[target]
        y.append(_number(cell, wanted["target"], line) if wanted["target_is"] == "numbers" else cell)
    if not x:
        raise DataError("the table has no rows", where=where)
    return Part(np.array(x, np.float64), np.array(y), tuple(names))


def _number(cell: Any, column: str, where: str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        shown = f"'{str(cell)[:40]}'" if str(cell).strip() else "empty"
        raise DataError(
            f"column '{column}' is {shown}, not a number", where=where,
            fix="columns=[those to learn from], or fill in what is missing",
        ) from None  # fmt: skip


def as_classes(
    targets: Mapping[str, NDArray[Any]], name: str
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Class numbers (N,) int64 of each split, and the names of the classes that the training split has.

    Args:
        targets: Split to (N,) names or whole numbers.
        name: What they are called, for messages.

    Raises:
        DataError: they are no classes, or a split has one that the training split has not.
    """
    train = targets["train"]
    if train.ndim != 1 or (train.dtype.kind not in "iubUS" and not _is_whole(train)):
        raise DataError(
            f"{name} holds {train.dtype} of shape {train.shape}, not a class for each row",
            where="target", fix="target_is=numbers, or target=<another array>",
        )  # fmt: skip
    values = np.unique(_plain(train))
    if len(values) == len(train) > 2:
        what = f"each of the {len(train):,} rows has a {name} of its own"
        raise DataError(what, where="target", fix="target_is=numbers")
    numbers: dict[str, NDArray[np.int64]] = {}
    for split, given in targets.items():
        plain = _plain(given)
        found = np.searchsorted(values, plain).clip(max=len(values) - 1)
        is_alike = plain.dtype.kind == values.dtype.kind
        strange = plain if not is_alike else plain[values[found] != plain]
        if len(strange):
            raise DataError(
                f"{name} {strange[0]} of split {split} is none of the classes in the training split",
                where=f"{split}_file", fix=f"they are {', '.join(map(str, values[:_SHOWN]))}",
            )  # fmt: skip
        numbers[split] = found.astype(np.int64)
    return numbers, [str(value) for value in values.tolist()]


def _is_whole(values: NDArray[Any]) -> bool:
    """Whether floats are whole numbers, as classes of a table or of Matlab come."""
    return values.dtype.kind == "f" and bool(np.isfinite(values).all() and (values == values.round()).all())


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Classes as int64 or as text, bytes decoded."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    if values.dtype.kind == "U":
        return values if not _all_whole(values) else values.astype(np.int64)
    return values.astype(np.int64)


def _all_whole(values: NDArray[Any]) -> bool:
    """Whether texts are all whole numbers as these are written."""
    try:
        return bool((values.astype(np.int64).astype(str) == values).all())
    except ValueError:
        return False
