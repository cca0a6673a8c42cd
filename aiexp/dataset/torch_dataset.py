"""Any map-style data set of torch as a data set whose batches are functions of their numbers."""

import hashlib
import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, Unpack, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from aiexp.checkpoint.digest import digests
from aiexp.dataset.array.dataset import X, Y
from aiexp.dataset.array.rows import EpochRows, RowBatching, cut_off
from aiexp.dataset.draws import example_seeds
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.dataset.subset import even_subset
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import NonNegativeInt, Share

FINGERPRINTED = 256  # examples of a split that are looked at; reading all may take hours


class MapDataset(Protocol):
    """A data set of torch that is asked for examples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class TorchBatching(RowBatching):
    """Arguments of data sets that make each example when it is asked for.

    Args:
        eval_fraction: Share of `train` cut off for validation when there is no `eval`.
        test_fraction: Share of `train` cut off for the test when there is no `test`.
        num_workers: Processes that make batches ahead; 0 makes each when it is asked for.
    """

    eval_fraction: Share
    test_fraction: Share
    num_workers: NonNegativeInt


@final
class TorchDataset:
    """Examples of a `torch.utils.data.Dataset`, in an order of ours.

    A batch is what `collate` makes of the examples; a tuple or list of parts becomes a dict by `names`.
    While a batch is made, the random numbers of Python, numpy and torch begin at a hash of seed and number,
    so that random changes of examples are the same whoever makes them, and whenever; afterwards they go on
    as before.

    Args:
        train: Examples to learn from.
        eval: For validation; None cuts them off `train`.
        test: For the test; None cuts them off `train`.
        collate: Makes a batch of a list of examples; None for torch's `default_collate`.
        names: Of the parts of a batch that is a tuple or list: [x, labels]; None leaves batches as they are.
        class_names: Name of each class, None for those that `train` has as `classes`, or none.
        batching: See `TorchBatching`.

    Raises:
        ConfigError: one of them cannot be asked by number, or nothing would be left for training.
    """

    def __init__(
        self,
        *,
        train: MapDataset,
        eval: MapDataset | None,
        test: MapDataset | None,
        collate: Callable[[list[Any]], Any] | None,
        names: list[str] | None,
        class_names: list[str] | None,
        **batching: Unpack[TorchBatching],
    ) -> None:
        given = {"train": train, "eval": eval, "test": test}
        self._parts = _parts(
            {split: part for split, part in given.items() if part is not None},
            {"eval": batching["eval_fraction"], "test": batching["test_fraction"]},
            batching["limit"],
        )
        self._collate, self._names = collate or default_collate, names
        self.class_names = [str(name) for name in class_names or getattr(train, "classes", None) or ()]
        self.batch_size, self.eval_batch_size = batching["batch_size"], batching["eval_batch_size"]
        self._seed, self._num_workers = batching["seed"], batching["num_workers"]
        self._rows = EpochRows(
            len(self._parts["train"]), self.batch_size, drop_last=batching["drop_last"], seed=self._seed
        )
        first = self._batch("train", np.arange(1), 0)
        x, y = (first.get(name) if isinstance(first, Mapping) else None for name in (X, Y))
        self.feature_shape = list(x.shape[1:]) if isinstance(x, Tensor) else []
        self.num_targets = y.numel() if isinstance(y, Tensor) else 0
        self.feature_names = list[str]()

    def num_examples(self, split: str) -> int:
        """Examples in `split`; 0 when the split does not exist."""
        check_split(split)
        return len(self._parts[split]) if split in self._parts else 0

    def batches_per_epoch(self) -> int:
        """Training batches in one pass over the training split."""
        return self._rows.per_epoch

    def train_batches(self, start: int) -> Iterator[Any]:
        """Endless training batches, beginning with batch number `start`.

        Raises:
            DataError: an example cannot be made, or a worker failed.
        """
        return ordered_batches(
            self._train_batch, start=start, stop=None, num_workers=self._num_workers, name="training"
        )

    def eval_batches(self, split: str) -> Iterator[Any]:
        """Every example of `split` once, in its order.

        Raises:
            DataError: an example cannot be made, or a worker failed.
        """
        count = -(-self.num_examples(split) // self.eval_batch_size)
        workers, make = min(self._num_workers, count), partial(self._eval_batch, split)
        return ordered_batches(make, start=0, stop=count, num_workers=workers, name=split)

    def fingerprint(self) -> str:
        """sha256 (hex) over the number of examples of each split, and up to 256 of them, evenly spread."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for split in SPLITS:
            count = self.num_examples(split)
            rows = np.unique(np.linspace(0, count - 1, min(count, FINGERPRINTED)).astype(np.int64))
            digest.update(f"\n{split} {count}\n".encode())
            with _drawing(example_seeds(np.array([SPLITS.index(split)]), 0, 0)[0]):
                for row in rows.tolist():
                    digest.update(repr(digests(self._parts[split][row])).encode())
        return digest.hexdigest()

    def _train_batch(self, number: int) -> Any:
        _, rows = self._rows(number)
        return self._batch("train", rows, number)

    def _eval_batch(self, split: str, number: int) -> Any:
        start, size = number * self.eval_batch_size, self.eval_batch_size
        return self._batch(split, np.arange(start, min(start + size, self.num_examples(split))), number)

    def _batch(self, split: str, rows: NDArray[np.int64], number: int) -> Any:
        """What is made of these rows, the random numbers being a function of split and number."""
        part, key = self._parts[split], 1 + SPLITS.index(split)
        with _drawing(example_seeds(np.array([number]), self._seed if split == "train" else 0, key)[0]):
            examples = part.several(rows.tolist())
            batch = self._collate(examples)
        is_named = self._names is not None and isinstance(batch, tuple | list)
        return _named(batch, self._names or ()) if is_named else batch


@final
class _Part:
    """Some rows of a data set of torch."""

    def __init__(self, data: MapDataset, rows: NDArray[np.int64] | range) -> None:
        self._data, self._rows = data, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Any:
        return self._data[int(self._rows[row])]

    def several(self, rows: Sequence[int]) -> list[Any]:
        """The examples of some rows; at once, if the data set offers that, as torch's loader asks it."""
        numbers = [int(self._rows[row]) for row in rows]
        at_once: Callable[[list[int]], list[Any]] | None = getattr(self._data, "__getitems__", None)
        return at_once(numbers) if at_once is not None else [self._data[number] for number in numbers]


def _parts(
    given: dict[str, MapDataset], fractions: Mapping[str, float], limit: int | None
) -> dict[str, _Part]:
    """The rows of every split: all of what is given, shares of the training rows for the rest."""
    for split, data in given.items():
        lacks = [name for name in ("__len__", "__getitem__") if not hasattr(data, name)]
        if lacks:
            raise ConfigError(
                f"{type(data).__name__} has no {lacks[0]}, so no example can be asked for by its number",
                where=split, fix="a map-style data set: of a stream a file of examples",
            )  # fmt: skip
        if not len(data):
            raise DataError(f"{type(data).__name__} has no examples", where=split)
    rows: dict[str, NDArray[np.int64] | range] = {split: range(len(data)) for split, data in given.items()}
    rows |= cut_off(np.zeros(len(given["train"]), np.int64), given, fractions)
    return {
        split: _Part(given.get(split, given["train"]), _limited(part, limit)) for split, part in rows.items()
    }


def _limited(rows: NDArray[np.int64] | range, limit: int | None) -> NDArray[np.int64] | range:
    """So many rows, from everywhere in the data: files are often sorted by class."""
    if limit is None or limit >= len(rows):
        return rows
    return np.asarray(rows, np.int64)[even_subset(np.zeros(len(rows), np.int64), limit)]


def _named(batch: Any, names: Sequence[str]) -> dict[str, Any]:
    """A batch of parts as a dict.

    Raises:
        DataError: it has another number of parts.
    """
    parts = list(cast(list[Any], batch))
    if len(parts) != len(names):
        raise DataError(
            f"{len(names)} names are given for a batch of {len(parts)} parts",
            where="names", fix="a name for each part of the tuple, or names=null",
        )  # fmt: skip
    return dict(zip(names, parts, strict=True))


@contextmanager
def _drawing(seed: int) -> Generator[None]:
    """A body in which all random numbers of the process are a function of a seed; undone afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    torch.default_generator.manual_seed(int(seed))  # that of the CPU alone: a GPU's belongs to the run
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
