"""Arrays in memory as a data set: names to arrays with a row for each example.

Legend: N examples of a split, B examples of a batch, C classes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.array.rows import EpochRows, RowBatching, check_names, divided
from aiexp.dataset.draws import example_seeds
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.dataset.subset import even_subset
from aiexp.errors import DataError

X, LABELS, Y = "x", "labels", "y"
OWN_KEYS = ("index", "seeds")
Arrays = Mapping[str, Any]


@final
class ArrayDataset:
    """Examples as rows of arrays or tensors; a batch is a copy of some of them, nothing else.

    A training batch is a dict:
        each name: (B, ...) the rows of its array; floats as float32, whole numbers as int64, uint8 and bool
            as they are.
        index: (B,) int64, position of each example in its split.
        seeds: (B,) int64 >= 0, a hash of seed, epoch and index: what this example's randomness is drawn from.
    An evaluation batch has no `seeds`.

    Names with a meaning for aiexp's own tasks: `x`, what is learned from; `labels`, (N,) class numbers, of
    which every split gets the same share; `y`, (N,) or (N, T) numbers to be found.

    Args:
        arrays: Names to arrays of equal length, divided by the fractions; or "train", "eval" and "test" to
            such names.
        eval_fraction: Share for validation, where `arrays` are not divided.
        test_fraction: Share for the test, likewise.
        class_names: Name of each class; None numbers them.
        feature_names: Name of each number of a flat `x`; None for none.
        batching: See `RowBatching`.

    Raises:
        DataError: the arrays cannot be used; says which and where.
        ConfigError: nothing would be left for training, or no batch is full.
    """

    def __init__(
        self,
        *,
        arrays: Arrays | Mapping[str, Arrays],
        eval_fraction: float = 0.0,
        test_fraction: float = 0.0,
        class_names: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        **batching: Unpack[RowBatching],
    ) -> None:
        fractions = {"eval": eval_fraction, "test": test_fraction}
        splits = {name: _tensors(part, name) for name, part in _splits(arrays, fractions).items()}
        _check_alike(splits)
        self.class_names = _class_names(splits, class_names)
        self._splits = {name: _limited(part, batching["limit"]) for name, part in splits.items()}
        self.feature_shape = list(splits["train"][X].shape[1:]) if X in splits["train"] else []
        self.feature_names = list(feature_names or [])
        self.num_targets = splits["train"][Y][0].numel() if Y in splits["train"] else 0
        self.batch_size, self.eval_batch_size = batching["batch_size"], batching["eval_batch_size"]
        self._seed = batching["seed"]
        self._rows = EpochRows(
            self.num_examples("train"), self.batch_size, drop_last=batching["drop_last"], seed=self._seed
        )

    def num_examples(self, split: str) -> int:
        """Examples in `split`; 0 when the split does not exist."""
        check_split(split)
        return _count(self._splits[split]) if split in self._splits else 0

    def arrays(self, split: str) -> dict[str, Tensor]:
        """The whole arrays of `split` by name, no copies; empty when the split does not exist."""
        check_split(split)
        return self._splits.get(split, {})

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split."""
        return self._rows.per_epoch

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        number = start
        while True:
            epoch, rows = self._rows(number)
            seeds = torch.from_numpy(example_seeds(rows, self._seed, epoch))
            yield _batch(self._splits["train"], torch.from_numpy(rows)) | {"seeds": seeds}
            number += 1

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every example of `split` once, in its order."""
        count = self.num_examples(split)
        for first in range(0, count, self.eval_batch_size):
            rows = torch.arange(first, min(first + self.eval_batch_size, count))
            yield _batch(self._splits[split], rows)

    def fingerprint(self) -> str:
        """sha256 (hex) over the arrays, their names and their split, in order."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for split in SPLITS:
            for name, tensor in sorted(self.arrays(split).items()):
                digest.update(f"\n{split} {name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def _batch(arrays: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """Copies of the rows, so that nothing done to a batch reaches the data."""
    return {name: tensor.index_select(0, rows) for name, tensor in arrays.items()} | {"index": rows.clone()}


def _count(arrays: Mapping[str, Tensor]) -> int:
    return len(next(iter(arrays.values())))


def _splits(arrays: Mapping[str, Any], fractions: Mapping[str, float]) -> Mapping[str, Arrays]:
    """The arrays of each split: as given, or divided."""
    if arrays and all(isinstance(part, Mapping) for part in arrays.values()):
        check_names(arrays, "arrays")
        return {name: part for name, part in arrays.items() if _is_filled(part)}
    whole = _tensors(arrays, "")
    labels = whole[LABELS].numpy() if LABELS in whole else np.zeros(_count(whole), np.int64)
    _check_labels(labels, "")
    rows = divided(labels, {name: share for name, share in fractions.items() if share})
    return {n: {k: t[torch.from_numpy(part)] for k, t in whole.items()} for n, part in rows.items()}


def _is_filled(part: Arrays) -> bool:
    return bool(part) and len(next(iter(part.values()))) > 0


def _tensors(arrays: Arrays, split: str) -> dict[str, Tensor]:
    """Arrays as tensors with a row for each example.

    Raises:
        DataError: they have no rows, not as many, or values that are no numbers.
    """
    if not arrays:
        raise DataError(f"split {split} has no arrays" if split else "there are no arrays", where="arrays")
    tensors = {name: _tensor(value, place(split, name)) for name, value in arrays.items()}
    first, count = next((name, tensor.shape[0]) for name, tensor in tensors.items())
    for name, tensor in tensors.items():
        if name in OWN_KEYS:
            raise DataError(f"an array is called '{name}', which a batch holds anyway", where="arrays")
        if len(tensor) != count:
            raise DataError(
                f"{place(split, name)} has {len(tensor):,} rows and {first} has {count:,}",
                where="arrays", fix="a row for each example in every array",
            )  # fmt: skip
    if not count:
        raise DataError(f"{place(split, first)} has no rows", where="arrays")
    return tensors


def place(split: str, name: str) -> str:
    """What an array is called in messages: "x of train"."""
    return f"{name} of {split}" if split else name


def _tensor(value: Any, name: str) -> Tensor:
    """One array as a tensor of float32, int64, uint8 or bool.

    Raises:
        DataError: it is no array of numbers, has no rows, or holds what is not finite.
    """
    made = value.detach().cpu() if isinstance(value, Tensor) else np.asarray(value)
    if isinstance(made, np.ndarray):
        if made.dtype.kind not in "fiub" or (made.dtype.kind == "u" and made.dtype.itemsize == 8):
            raise DataError(
                f"{name} holds {made.dtype}, not numbers", where="arrays",
                fix="numbers; classes that are names as numbers, their names in class_names",
            )  # fmt: skip
        made = torch.from_numpy(np.array(made, made.dtype.newbyteorder("="), order="C"))
    if not made.dim():
        raise DataError(f"{name} is a single number, not a row for each example", where="arrays")
    if made.is_floating_point():
        single = made.float()
        if not bool(torch.isfinite(single).all()):
            row = int((~torch.isfinite(single.reshape(len(made), -1)).all(1)).nonzero()[0, 0])
            is_large = bool(torch.isfinite(made[row]).all())
            raise DataError(
                f"{name} has a number that is {'too large for float32' if is_large else 'not finite'} in "
                f"row {row}", where="arrays",
                fix="another unit" if is_large else "fill or leave out what is missing",
            )  # fmt: skip
        return single
    return made if made.dtype in (torch.uint8, torch.bool) else made.long()


def _check_labels(labels: NDArray[Any], split: str) -> None:
    """Raises `DataError` unless labels are class numbers from 0 on."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{place(split, LABELS)} are no class numbers: {labels.dtype} of shape {labels.shape}"
            + (f", the least {labels.min()}" if labels.size and labels.dtype.kind in "iuf" else ""),
            where="arrays", fix="(N,) whole numbers from 0 on; numbers to find by another name, such as y",
        )  # fmt: skip


def _check_alike(splits: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Raises `DataError` unless all splits have the same arrays, alike but for their rows."""
    train = {name: (tuple(t.shape[1:]), t.dtype) for name, t in splits["train"].items()}
    for split, arrays in splits.items():
        other = {name: (tuple(t.shape[1:]), t.dtype) for name, t in arrays.items()}
        for name in sorted(train.keys() | other.keys()):
            if train.get(name) != other.get(name):
                here, there = (_described(kinds.get(name)) for kinds in (other, train))
                raise DataError(f"{place(split, name)} is {here}, that of train {there}", where="arrays")


def _described(kind: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "not there" if kind is None else f"{str(kind[1]).removeprefix('torch.')} {('N', *kind[0])}"


def _class_names(splits: Mapping[str, Mapping[str, Tensor]], names: Sequence[str] | None) -> list[str]:
    """The names of the classes; none without labels.

    Raises:
        DataError: a label has no name, or the training split has one class.
    """
    if LABELS not in splits["train"]:
        return []
    for split, arrays in splits.items():
        _check_labels(arrays[LABELS].numpy(), split)
    largest = max(int(arrays[LABELS].max()) for arrays in splits.values())
    made = [str(number) for number in range(largest + 1)] if names is None else [str(name) for name in names]
    if largest >= len(made) or len(set(made)) < len(made):
        what = f"there is a label {largest}" if largest >= len(made) else "two have the same name"
        raise DataError(f"{len(made)} classes are named, and {what}", where="class_names")
    if len(splits["train"][LABELS].unique()) < 2:
        raise DataError("only one class in the training split", where="arrays", fix="at least two classes")
    return made


def _limited(arrays: dict[str, Tensor], limit: int | None) -> dict[str, Tensor]:
    """So many rows of every array, the same share of each class where there are classes."""
    count = _count(arrays)
    if limit is None or limit >= count:
        return arrays
    labels = arrays[LABELS].numpy() if LABELS in arrays else np.zeros(count, np.int64)
    rows = torch.from_numpy(even_subset(cast(NDArray[np.int64], labels), limit))
    return {name: tensor[rows] for name, tensor in arrays.items()}
