"""Metrics of training between two lines."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from aiexp.task.base import Last, Metric, Sum, Task
from aiexp.task.contract import as_number
from aiexp.trainer.together import Window as Totals

Entry = tuple[str, Tensor | float, float, bool]  # name, value, share, finite_only: see `count`
MOST_PENDING = 1024  # metrics; more are read, line or not


@final
class Window:
    """Adds up metrics as totals and what these are divided by.

    Reading a number from a GPU waits for all it was asked to do. So numbers there stay there, each copied
    when it is given, since who gave it may change it; they are read together, in the order they came in, by
    the same sums as elsewhere.

    Args:
        task: Whose metrics they are.
        is_deferred: Whether tensors are read later.
    """

    def __init__(self, task: Task, *, is_deferred: bool) -> None:
        self.task, self.is_deferred = task, is_deferred
        self.kinds: dict[str, type] = {}  # of metrics that are no means
        self._totals: Totals = {}
        self._pending: list[Entry] = []

    @property
    def totals(self) -> Totals:
        """Total and divisor of each metric, those on the device included."""
        self._read()
        return self._totals

    @totals.setter
    def totals(self, totals: Totals) -> None:
        self._pending.clear()
        self._totals = totals

    def count(self, name: str, metric: Metric, share: float, *, finite_only: bool = False) -> None:
        """Adds a metric.

        Args:
            name: Of the metric.
            metric: One number, as a tensor or not.
            share: Its weight in the mean.
            finite_only: Whether a value that is not finite is left out.
        """
        if isinstance(metric, (Last, Sum)):
            self.kinds[name] = type(metric)
            plain = metric.value
        else:
            plain = metric
        if not self.is_deferred:
            self._add(name, as_number(self.task, "train_step", name, plain), share, finite_only)
            return
        if isinstance(plain, Tensor) and plain.numel() == 1 and not plain.is_complex():
            value = snapshot(plain)
        else:
            value = as_number(self.task, "train_step", name, plain)
        self._pending.append((name, value, share, finite_only))
        if len(self._pending) == MOST_PENDING:
            self._read()

    def extend(self, entries: list[Entry], values: Iterator[Tensor]) -> None:
        """Counts metrics again, with new values: as many of them, each () float64 and nobody else's."""
        self._pending += [(name, next(values), share, only) for name, _, share, only in entries]
        if len(self._pending) >= MOST_PENDING:
            self._read()

    @contextmanager
    def recording(self) -> Generator[list[Entry]]:
        """A body whose metrics are only collected."""
        before, self._pending = self._pending, []
        try:
            yield self._pending
        finally:
            self._pending = before

    def _read(self) -> None:
        pending, self._pending = self._pending, []
        tensors = [value for _, value, _, _ in pending if isinstance(value, Tensor)]
        read = iter(torch.stack(tensors).tolist() if tensors else ())
        for name, value, share, finite_only in pending:
            self._add(name, next(read) if isinstance(value, Tensor) else value, share, finite_only)

    def _add(self, name: str, value: float, share: float, finite_only: bool) -> None:
        if finite_only and not abs(value) < float("inf"):
            return
        kind, entry = self.kinds.get(name), self._totals.get(name)
        if kind is not None:
            self._totals[name] = [value if entry is None or kind is Last else entry[0] + value, 1]
        elif entry is None:
            self._totals[name] = [value * share, share]
        else:
            entry[0] += value * share
            entry[1] += share


def snapshot(number: Tensor) -> Tensor:
    """A copy of one number as () float64, where it is."""
    return number.detach().to(torch.float64, copy=True).reshape(())
