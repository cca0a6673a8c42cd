"""The contract between what is learned (a task) and the loop that runs it (the trainer)."""

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from aiexp.checkpoint.digest import differing, digests
from aiexp.dataset.base import Dataset
from aiexp.errors import CheckpointError, ConfigError
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.network import Logits, Network
from aiexp.prediction.prediction import Prediction, classified
from aiexp.task.batch_norm import check_ranks
from aiexp.task.report import Evaluation
from aiexp.world.share import refilled
from aiexp.world.world import World

LOGITS = "logits"  # the network that `Task.logits` is
OptimizerFactory = Callable[[Iterable[Any]], torch.optim.Optimizer]


@dataclass(frozen=True, slots=True)
class Last:
    """A metric whose newest value is logged, where others are averaged: a count so far, a state."""

    value: Tensor | float


@dataclass(frozen=True, slots=True)
class Sum:
    """A metric whose values since the last line are added up: how often something happened."""

    value: Tensor | float


Metric = Tensor | float | Last | Sum


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far training is.

    Args:
        step: Optimizer steps finished.
        total_steps: Length of the run in optimizer steps.
    """

    step: int
    total_steps: int

    @property
    def fraction(self) -> float:
        """From 0 at the start to 1 at the end."""
        return self.step / max(self.total_steps, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """One optimiser step a task asks for: minimise `loss` over the parameters of `optimizer`.

    Args:
        loss: () float tensor with a graph.
        optimizer: Key of `Task.make_optimizers()`.
        metrics: Numbers to log as `train/<name>`; `env/<name>` and `time/<name>` keep theirs. A plain one is
            averaged over the updates since the last line; see `Last` and `Sum`.
        weight: How many the loss is a mean over, where that is not the examples of the batch: tokens, a sum
            of class weights. By it the losses of several ranks are weighed, so that together they are the
            mean over the whole batch; with one rank it changes nothing.
    """

    loss: Tensor
    optimizer: str = "model"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: {})
    weight: Tensor | float | None = None


class Task(nn.Module, ABC):
    """What is learned: owns the networks and their losses; never sees device, precision or the loop.

    What the trainer keeps to:
        `progress` says how far training is, in every method it calls, after resuming too.
        Precision: `train_step` and `evaluate` run in that of `hardware.precision` (autocast); `batches` runs
            in full precision, since it makes data. A task that acts in `batches` and compares what it
            computed there with what `train_step` computes turns autocast off in `train_step`.
        Batches: tensors in lists, tuples, mappings and dataclasses are moved to the device, and so is
            whatever has a method `to(device)`.
        Ranks (`hardware.devices`): each has its own process, its share of each batch and its own random
            numbers; gradients are averaged. `evaluate` runs on all of them and comes to the same on each: on
            whole splits, or on `dealt` batches whose results are `gathered`. The leader's report is taken.
    """

    progress = Progress(step=0, total_steps=0)
    world = World()
    # Whether a CUDA graph may record a step: batches of the same shapes lead `train_step` to the same
    # kernels, no number of Python that changes takes part, nothing is read from the GPU, metrics are tensors.
    capturable = False
    # Whether all ranks have the same `batches`, and share each out; false for who makes data: then a rank's
    # `batches` are its own, each with its part of the rows.
    shares_batches = True
    # Rows of the smallest training batch, where the network normalises over batches (`task.batch_norm`).
    normalized_rows: int | None = None

    def join(self, world: World) -> None:
        """Takes its place among the ranks of a run; called before anything is learned.

        Raises:
            ConfigError: what it has cannot be shared out among so many.
        """
        check_ranks(self.normalized_rows, world.size)
        self.world = world

    @abstractmethod
    def train_step(self, batch: Any) -> Iterator[Update]:
        """Yields the updates of one step in order; after a `yield` returns, that update has been applied.

        With gradient accumulation there is one generator for each micro-batch, and they advance in lockstep:
        the first runs to its first `yield` and back through that loss, then the second, ...; the optimizer
        steps once; all run on to their second `yield`. So yield the same optimizers in the same order
        whatever the batch. What stands after a `yield` runs once for each micro-batch; what belongs to an
        optimizer's step, such as a moving average, belongs into its `register_step_post_hook`.
        Never `yield` inside `torch.no_grad()` or `torch.autocast()`: the mode would leak into the trainer.
        """

    @abstractmethod
    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by name, made once the parameters are on their device.

        Every parameter with `requires_grad` is in exactly one of them.
        """

    def batches(self, dataset: Dataset, start: int) -> Iterator[Any]:
        """Endless training batches from number `start` on (`start` batches were consumed before)."""
        return dataset.train_batches(start)

    def drawn(self, batch: Any) -> Any:
        """A batch, on the CPU and of this rank, with what its step draws there; called before each step.

        A step that a CUDA graph replays draws nothing by itself but from the GPU's own generator.
        """
        return batch

    def take_metrics(self) -> Mapping[str, Metric]:
        """Metrics beside those of the updates, such as of the acting before a step; asked for once a step."""
        return {}

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
            losses = [update.loss.item() for update in self.train_step(self.to_device(self.drawn(batch)))]
            total, count = total + sum(losses), count + 1
        return Evaluation(metrics={"loss": total / max(count, 1)}, better={"loss": "min"})

    def inputs(self) -> Inputs:
        """What one input of a prediction is; see the room `prediction`.

        Raises:
            ConfigError: the task has not been made for that.
        """
        raise no_use(self, "inputs")

    def predict(self, batch: Any) -> list[Prediction]:
        """The answer to each input of a batch; called in eval and inference mode, on the task's device.

        It depends on parameters, buffers and settings alone: a run that is loaded to be used has no
        `extra_state`. The default is for tasks that have `class_names` and `logits`.

        Args:
            batch: Of `inputs().collate`.
        """
        names: list[str] = getattr(self, "class_names", [])
        return classified(self.logits(batch).float().softmax(1), names)

    def logits(self, batch: Any) -> Tensor:
        """(B, C) float32: of classifiers, before the softmax; `evaluate` goes through it too.

        Args:
            batch: A dict of tensors, of `inputs().collate` or of an evaluation.

        Raises:
            ConfigError: the task is no classifier.
        """
        raise no_use(self, "logits")

    def networks(self) -> dict[str, Network]:
        """The networks worth exporting by name; the default is `logits` as one network.

        Raises:
            ConfigError: the task has not been made for that.
        """
        if type(self).logits is Task.logits:
            raise no_use(self, "networks")
        ports = self.inputs().ports()
        return {LOGITS: Network(module=Logits(self, list(ports)), inputs=ports, outputs=(LOGITS,))}

    def dealt(self, dataset: Dataset, split: str) -> Iterator[Any]:
        """The batches of a split that this rank evaluates; all of them where there is one rank."""
        return self.world.dealt(dataset.eval_batches(split))

    def gathered(self, parts: list[Any]) -> list[Any]:
        """What all ranks have made of their `dealt` batches, in the order of the batches, on every rank.

        Args:
            parts: Of each batch tensors on the CPU and JSON values, nested in lists, tuples and dicts.
        """
        return self.world.gathered(parts)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the forward passes of the task and of its networks, as `torch.compile` does.

        A network that is called inside `torch.func.vmap` or `grad` stays as it is; a task that does so
        compiles what calls them.
        """
        super().compile(*args, **kwargs)
        for network in self.children():
            network.compile(*args, **kwargs)

    def shards(self) -> list[nn.Module]:
        """Modules whose weights are sharded one by one (`hardware.parallel=fsdp`), inner ones first.

        The weights of each are whole only while it runs, so it is called as `block(...)` and never reached
        into, as often on every rank. What is in none of them goes together, around the task's `forward`: then
        `train_step` and `evaluate` call that, as `self(...)`. There is one optimizer, and no gradient is
        taken inside a step.

        Raises:
            ConfigError: the task has not been made for that.
        """
        raise ConfigError(
            f"{type(self).__name__} names no blocks, so its weights cannot be sharded",
            fix="hardware.parallel=ddp",
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """JSON values worth recording beside the config, such as the names of the classes."""
        return {}

    def extra_state(self) -> dict[str, Any]:
        """State beside parameters and buffers: tensors, arrays and JSON values, nested in dicts and lists."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restores what `extra_state` returned."""

    def reshape_state(self, states: list[dict[str, Any]], world: World) -> dict[str, Any]:
        """The `extra_state` of a rank, when a run goes on with another number of ranks than it was saved by.

        Args:
            states: Of each rank that saved one, in order.
            world: The ranks now.

        Raises:
            CheckpointError: the ranks had different states, and only the task knows how to divide them.
        """
        if not self.shares_batches or any(
            differing(digests(states[0]), digests(state)) for state in states[1:]
        ):
            raise CheckpointError(
                f"each of {len(states)} ranks had a state of its own, which {type(self).__name__} cannot "
                f"divide among {world.size}" if states[1:] else
                f"{type(self).__name__} cannot divide the state of one process among {world.size} ranks",
                fix=f"hardware.devices={len(states)}, as it was saved",
            )  # fmt: skip
        return states[0]

    @property
    def device(self) -> torch.device:
        """The device of the first parameter."""
        return next(self.parameters()).device

    def to_device(self, batch: Any) -> Any:
        """`batch` with every tensor in it on the task's device."""
        return to_device(batch, self.device)


def no_use(task: Task, member: str) -> ConfigError:
    """The error for a task that lacks what a use of it needs."""
    name = type(task).__name__
    ways = {
        "inputs": ("does not say what it predicts from", "`inputs` and `predict`, or for classes `logits`"),
        "logits": ("is no classifier: it has no `logits`", "`logits(batch)`, or a `predict` of its own"),
        "networks": ("names no networks to export", "`networks`"),
    }
    what, fix = ways[member]
    return ConfigError(f"{name} {what}", where=f"{name}.{member}", fix=f"write {fix}: aiexp/task/base.py")


def to_device(value: Any, device: torch.device) -> Any:
    """`value` with every tensor in it moved to `device`; containers are copied, not changed."""
    if isinstance(value, Tensor):
        return pinned(value, device).to(device, non_blocking=True)
    if type(value) is dict:
        return {k: to_device(v, device) for k, v in cast(dict[Any, Any], value).items()}
    if type(value) in (tuple, list):
        return type(value)(to_device(v, device) for v in cast(list[Any], value))
    if not isinstance(value, type) and callable(getattr(value, "to", None)):
        return value.to(device)  # such as packed sequences and the batches of other libraries
    if isinstance(value, Mapping):
        moved = {k: to_device(v, device) for k, v in cast(Mapping[Any, Any], value).items()}
        return refilled(value, moved)
    if isinstance(value, tuple | list):
        parts = [to_device(v, device) for v in cast(list[Any], value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        moved = copy.copy(value)
        for each in dataclasses.fields(value):
            object.__setattr__(moved, each.name, to_device(getattr(value, each.name), device))
        return moved
    return value


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor, for a GPU in memory that it reads by itself; a copy from elsewhere would wait for it."""
    if device.type != "cuda" or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return tensor
    is_channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    # An expanded tensor cannot be pinned.
    return (tensor if is_channels_last else tensor.contiguous()).pin_memory()
