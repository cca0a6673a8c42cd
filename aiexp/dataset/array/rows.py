"""Which rows a training batch holds, and how rows are divided into splits: functions of numbers alone."""

from collections.abc import Collection, Mapping
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import example_seeds
from aiexp.dataset.order import Order
from aiexp.dataset.splits import SPLITS
from aiexp.dataset.subset import cut
from aiexp.errors import ConfigError
from aiexp.ranges import Range


class RowBatching(Batching):
    """Arguments that data sets of rows share.

    Args:
        drop_last: Leave out the last batch of an epoch when it is smaller; else it is kept.
        limit: At most so many examples of each split; None for all.
    """

    drop_last: bool
    limit: Annotated[int, Range(">= 2")] | None


@final
class EpochRows:
    """The rows of training batch `k` as a pure function of `k`; remembers only the order of one epoch.

    Args:
        count: Rows of the training split.
        batch_size: Rows of a batch.
        drop_last: Whether an epoch ends before a batch that is not full.
        seed: Of the order.

    Raises:
        ConfigError: no batch is full, and only full ones are wanted.
    """

    def __init__(self, count: int, batch_size: int, *, drop_last: bool, seed: int) -> None:
        if drop_last and count < batch_size:
            raise ConfigError(
                f"{count} training examples do not fill one batch of {batch_size}",
                where="batch_size", fix="a smaller batch_size, or drop_last=false",
            )  # fmt: skip
        self._count, self._batch_size, self._seed = count, batch_size, seed
        self.per_epoch = count // batch_size if drop_last else -(-count // batch_size)
        self._epoch, self._order = 0, Order(count, seed, 0)

    def __call__(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """The epoch of a batch, and its (B,) int64 rows."""
        epoch, position = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, Order(self._count, self._seed, epoch)
        start = position * self._batch_size
        return epoch, self._order.between(start, start + self._batch_size)


def divided(labels: NDArray[np.int64], fractions: Mapping[str, float]) -> dict[str, NDArray[np.int64]]:
    """Rows (int64, ascending) of "train" and of each split in `fractions`, always the same ones.

    Args:
        labels: (N,) int64, the class of each row, of which every split gets its share; zeros for none.
        fractions: Split to its share of the rows; the rest is for training.

    Raises:
        ConfigError: nothing would be left for training.
    """
    # A fixed hash of the row numbers: examples from everywhere in the data, whatever the seed.
    order = np.argsort(example_seeds(np.arange(len(labels)), 0, 0), kind="stable")
    (codes,) = cut([labels[order]], np.bincount(labels), fractions)
    rows = {name: np.sort(order[codes == code]) for code, name in enumerate(fractions, 1)}
    return {"train": np.sort(order[codes == 0]), **{n: r for n, r in rows.items() if len(r)}}


def cut_off(
    labels: NDArray[np.int64], given: Collection[str], fractions: Mapping[str, float]
) -> dict[str, NDArray[np.int64]]:
    """Rows of "train" and of each split that has none of its own, cut off the training rows.

    Empty where every split has its own.

    Args:
        labels: (N,) int64, the class of each training row; zeros for none.
        given: Splits with rows of their own.
        fractions: Split to its share, if it is not given.

    Raises:
        ConfigError: nothing would be left for training.
    """
    missing = {split: share for split, share in fractions.items() if split not in given and share}
    return divided(labels, missing) if missing else {}


def check_names(names: Mapping[str, object], where: str) -> None:
    """Raises `ConfigError` for a split that there is not, or without one to train on."""
    if unknown := [name for name in names if name not in SPLITS]:
        raise ConfigError(f"there is no split '{unknown[0]}'", where=where, fix=f"one of {', '.join(SPLITS)}")
    if "train" not in names:
        raise ConfigError("there is nothing to train on", where=where, fix="a split called train")
