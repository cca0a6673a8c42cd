"""The contract between what is learned (a task) and the loop that runs it (the trainer)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aiexp.dataset.base import Dataset
from aiexp.task.report import Evaluation

OptimizerFactory = Callable[[Iterable[Any]], torch.optim.Optimizer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """One optimiser step a task asks for: minimise `loss` over the parameters of `optimizer`.

    Args:
        loss: () float tensor with a graph.
        optimizer: Key of `Task.make_optimizers()`.
        metrics: Scalars to average and log as `train/<name>`; `env/<name>` and `time/<name>` keep theirs.
    """

    loss: Tensor
    optimizer: str = "model"
    metrics: dict[str, Tensor | float] = field(default_factory=lambda: {})


class Task(nn.Module, ABC):
    """What is learned: owns the networks and their losses; never sees device, precision or the loop."""

    @abstractmethod
    def train_step(self, batch: Any) -> Iterator[Update]:
        """Yields the updates of one step in order; after a `yield` returns, that update has been applied.

        With gradient accumulation the generators of all micro-batches advance in lockstep, so yield
        the same optimizers in the same order whatever the batch. Never `yield` inside `torch.no_grad()`
        or `torch.autocast()`: the mode would leak into the trainer.
        """

    @abstractmethod
    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by name, made once the parameters are on their device."""

    def batches(self, dataset: Dataset, start: int) -> Iterator[Any]:
        """Endless training batches from number `start` on (`start` batches were consumed before)."""
        return dataset.train_batches(start)

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Metrics over a whole split, without prefix; called in eval and inference mode.

        Args:
            dataset: The data set given to the trainer.
            split: "eval" (validation) or "test".
            report: Also make the pictures and tables (asked for once, at the end).

        The default is the mean, weighted by batch, of the losses that `train_step` would minimise.
        """
        total, count = 0.0, 0
        for batch in dataset.eval_batches(split):
            losses = [update.loss.item() for update in self.train_step(self.to_device(batch))]
            total, count = total + sum(losses), count + 1
        return Evaluation(metrics={"loss": total / max(count, 1)})

    def describe(self) -> dict[str, Any]:
        """JSON values worth recording beside the config, such as the names of the classes."""
        return {}

    def extra_state(self) -> dict[str, Any]:
        """State beside parameters and buffers: tensors, arrays and JSON values, nested in dicts and lists."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restores what `extra_state` returned."""

    @property
    def device(self) -> torch.device:
        """The device of the first parameter."""
        return next(self.parameters()).device

    def to_device(self, batch: Any) -> Any:
        """`batch` with every tensor in its dicts, lists and tuples on the task's device."""
        return to_device(batch, self.device)


def to_device(value: Any, device: torch.device) -> Any:
    """`value` with every tensor in nested dicts, lists and tuples moved to `device`."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {k: to_device(v, device) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(to_device(v, device) for v in value)
    return value
