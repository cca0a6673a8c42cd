"""A task trained without a trainer."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiexp.task.base import Task


def losses(task: Task, batches: Iterator[Any], steps: int) -> list[float]:
    """The loss of each of some steps of its one optimizer."""
    optimizer = task.make_optimizers()["model"]
    result: list[float] = []
    for batch in islice(batches, steps):
        (update,) = task.train_step(batch)
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()
        result.append(update.loss.item())
    return result
