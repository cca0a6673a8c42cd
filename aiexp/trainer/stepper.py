"""One optimizer step: micro-batches in lockstep, backward, finiteness, clipping, update."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from aiexp.errors import CheckpointError, ConfigError, DivergedError
from aiexp.hardware.hardware import Hardware
from aiexp.task.base import Last, Metric, Sum, Task, Update, to_device
from aiexp.task.contract import (
    YIELD,
    as_number,
    broken,
    check_loss,
    checked_metrics,
    checked_optimizers,
    misfits,
)
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.sharding import fitted_moments
from aiexp.trainer.together import check_alike, merged, synced
from aiexp.world.share import share_out

LATE = "holds parameters that have begun to learn since, whose gradients ranks do not average"


@final
@dataclass(frozen=True, slots=True)
class Micro:
    """A micro-batch on its way through a step.

    Args:
        generator: The task's updates for it.
        share: This rank's share of its examples.
        count: Micro-batches of the step.
        is_last: Whether it is the last of them.
    """

    generator: Iterator[Update]
    share: float
    count: int
    is_last: bool


# Of a group of parameters: which they are, and how an update is computed, which depends on the machine.
NO_SETTINGS = frozenset({"params", "foreach", "fused", "capturable", "differentiable"})


@final
class Stepper:
    """Applies the updates a task yields.

    Args:
        task: On its device, in training mode.
        hardware: Gives device and precision.
        schedule: Factor on each optimizer's learning rate.
        total_steps: Length of the schedule in optimizer steps.
        clip: Largest L2 norm of the gradient of one update; null does not clip.
    """

    def __init__(
        self, task: Task, hardware: Hardware, *, schedule: Schedule, total_steps: int, clip: float | None
    ) -> None:
        self.task, self.schedule, self.total_steps, self.clip = task, schedule, total_steps, clip
        self.device = hardware.device
        self.autocast = hardware.autocast()
        self.optimizers = checked_optimizers(task)
        self.parameters = {name: trainable(o) for name, o in self.optimizers.items()}
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"] * group.get("lr_scale", 1.0))
        self.scaler = torch.amp.GradScaler("cuda") if hardware.precision == "fp16" else None
        self.window: dict[str, list[float]] = {}
        self.kinds: dict[str, type] = {}  # of metrics that are no means
        self.world = hardware.world
        self.synced = synced(self.parameters, task) if self.world.size > 1 else {}

    def step(self, number: int, batches: list[Any]) -> None:
        """Runs optimizer step `number` (from 1) on its micro-batches.

        Raises:
            DivergedError: a loss or gradient is not finite; the update was not applied.
            ConfigError: the task breaks the contract of `train_step`.
        """
        factor = self.schedule.factor(number, self.total_steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        parts = [share_out(batch, self.world) for batch in batches]
        micros = [
            Micro(
                self._start(to_device(part, self.device)), share, len(batches), is_last=i == len(batches) - 1
            )
            for i, (part, share) in enumerate(parts)
        ]
        updates = 0
        while True:
            names = {name for micro in micros if (name := self._backward(micro, number))}
            if not names:
                break
            if len(names) > 1:
                raise ConfigError(
                    f"train_step yields {sorted(names)} at the same point for different micro-batches",
                    where="Trainer.accumulate",
                    fix="yield the same optimizers in the same order for every batch",
                )
            self._apply(names.pop(), number)
            updates += 1
        if not updates:
            raise broken(self.task, "train_step", "yielded nothing", fix=YIELD)

    def _start(self, batch: Any) -> Iterator[Update]:
        generator = self.task.train_step(batch)
        if not hasattr(generator, "__next__"):
            raise broken(self.task, "train_step", f"returned a {type(generator).__name__}", fix=YIELD)
        return generator

    def _backward(self, micro: Micro, number: int) -> str | None:
        """Adds the gradient of a micro-batch's next update; returns its optimizer, or None at the end."""
        update = self._checked(self._next(micro.generator))
        if update is None:
            return None
        name, loss = update.optimizer, update.loss
        value, share = loss.item(), self._share(update, micro.share)
        losses = self.world.ask(value)  # whoever meets one that is not finite must not leave alone
        if micro.count > 1:
            loss = loss / micro.count
        if share * self.world.size != 1:
            loss = loss * (share * self.world.size)
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        if name in self.synced:
            loss = self.synced[name](loss, is_last=micro.is_last)
        # inputs=: a generator's loss must not leave gradients in the discriminator.
        loss.backward(inputs=self.parameters[name] if len(self.parameters) > 1 else None)
        self._check_losses(losses(), name, number)
        self._count("loss" if len(self.parameters) == 1 else f"loss/{name}", value, share)
        for metric_name, metric in checked_metrics(self.task, update.metrics).items():
            self._count(metric_name, metric, micro.share)
        return name

    def _checked(self, update: Update | None) -> Update | None:
        """An update that can be applied, None at the end; raises `ConfigError` for another one."""
        if update is None:
            return None
        if type(update) is not Update:
            raise broken(self.task, "train_step", f"yielded a {type(update).__name__}", fix=YIELD)
        if not torch.is_grad_enabled():
            raise broken(self.task, "train_step", "yielded inside torch.no_grad()", fix=YIELD)
        if torch.is_autocast_enabled(self.device.type):
            raise broken(self.task, "train_step", "yielded inside torch.autocast()", fix=YIELD)
        if update.optimizer not in self.parameters:
            what = f"names the optimizer '{update.optimizer}', not in {list(self.parameters)}"
            raise broken(self.task, "train_step", what, fix=YIELD)
        check_loss(self.task, update)
        return update

    def _share(self, update: Update, share: float) -> float:
        """This rank's share in the loss of the whole batch."""
        if update.weight is None or self.world.size == 1:
            return share
        weight = as_number(self.task, "train_step", "weight", update.weight)
        total = sum(self.world.ask(weight)())
        return weight / total if total else share

    def _check_losses(self, losses: list[float], name: str, number: int) -> None:
        """Raises `DivergedError` unless the losses of all ranks are finite."""
        for rank, value in enumerate(losses):
            if not math.isfinite(value):
                whose = f" of rank {rank}" if len(losses) > 1 else ""
                raise DivergedError(
                    f"loss '{name}'{whose} is {value} at step {number}; the update was not applied",
                    fix="lower the learning rate or clip the gradient: trainer.clip=1.0",
                )

    def _next(self, generator: Iterator[Update]) -> Update | None:
        """Runs a generator on to its next update, in the run's precision."""
        with misfits(), self.autocast:
            return next(generator, None)

    def _apply(self, name: str, number: int) -> None:
        optimizer = self.optimizers[name]
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)
        if self.clip is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters[name], self.clip).item()
            # A scaled fp16 gradient may overflow: the scaler then skips the update and lowers its scale.
            if not math.isfinite(norm) and self.scaler is None:
                raise DivergedError(
                    f"gradient of '{name}' is {norm} at step {number}; the update was not applied",
                    fix="lower the learning rate",
                )
            if math.isfinite(norm):
                key = "gradient_norm" if len(self.parameters) == 1 else f"gradient_norm/{name}"
                self._count(key, norm, 1 if self.world.size == 1 else 1 / self.world.size)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def check_weights(self, number: int) -> None:
        """Raises `DivergedError` unless every parameter is finite: no checkpoint shall hold one that is not.

        Without clipping nobody looks at the gradients, and one that is not finite spoils the weights.
        """
        if self.scaler is not None and self.scaler.get_scale() < 1:
            raise DivergedError(
                f"every gradient of fp16 has overflowed by step {number}: no update is applied any more",
                fix="hardware.precision=bf16 or fp32, or lower the learning rate",
            )
        parameters = [p for group in self.parameters.values() for p in group]
        if self.world.size > 1:
            late = {id(p) for o in self.optimizers.values() for p in trainable(o)} - {
                id(p) for p in parameters
            }
            if late:
                raise broken(self.task, "make_optimizers", LATE, fix="hardware.devices=1")
            check_alike(self.world, parameters, self.optimizers, number)
        if not math.isfinite(nn.utils.get_total_norm([p.detach() for p in parameters]).item()):
            raise DivergedError(
                f"weights are not finite at step {number}; the checkpoint before it is intact",
                fix="clip the gradient (trainer.clip=1.0) or lower the learning rate",
            )

    def _count(self, name: str, metric: Metric, share: float) -> None:
        """Adds a metric to the window, as the total and the number that it is divided by."""
        plain = metric.value if isinstance(metric, Last | Sum) else metric
        value = as_number(self.task, "train_step", name, plain)
        entry = self.window.get(name)
        if isinstance(metric, Last | Sum):
            self.kinds[name] = type(metric)
            self.window[name] = [value if entry is None or isinstance(metric, Last) else entry[0] + value, 1]
        elif entry is None:
            self.window[name] = [value * share, share]
        else:
            entry[0] += value * share
            entry[1] += share

    def take_metrics(self) -> dict[str, float]:
        """Metrics since the last call, as `train/...` unless named `env/` or `time/`, and learning rates."""
        window = self.window if self.world.size == 1 else merged(self.world.gather(self.window), self.kinds)
        means = {name: total / count for name, (total, count) in window.items()}
        own = ("env/", "time/")
        metrics = {n if n.startswith(own) else f"train/{n}": mean for n, mean in means.items()}
        self.window = {}
        for name, optimizer in self.optimizers.items():
            key = "train/learning_rate" if len(self.optimizers) == 1 else f"train/learning_rate/{name}"
            metrics[key] = max(group["lr"] for group in optimizer.param_groups)
        return metrics

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "window": self.window,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned.

        Raises:
            CheckpointError: it is the state of other optimizers, or settings of theirs are missing or of
                another type; their numbers may differ, since optimizers and tasks change them on the way.
        """
        wrong = [name for name in state["optimizers"] if name not in self.optimizers]
        for name, optimizer in self.optimizers.items():
            built = settings(optimizer)
            saved = state["optimizers"][name]
            optimizer.load_state_dict(fitted_moments(optimizer, saved) if self.world.is_sharded else saved)
            found = settings(optimizer)
            wrong += [f"{name}/{key}" for key, kind in built.items() if kind not in (None, found.get(key))]
            lay_out_alike(optimizer)
        if wrong:
            raise CheckpointError(
                f"checkpoint does not fit the optimizers: {', '.join(wrong[:3])}", where="make_optimizers",
                fix="resume with the config and the code the run was started with",
            )  # fmt: skip
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.window = state["window"]


def settings(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The kind of each setting, as `0/weight_decay`; None for one that is not set yet."""
    return {
        f"{i}/{name}": _kind(value)
        for i, group in enumerate(optimizer.param_groups)
        for name, value in group.items()
        if name not in NO_SETTINGS
    }


def _kind(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_kind(item) for item in cast(list[Any], value)]
    is_number = isinstance(value, int | float | Tensor) and not isinstance(value, bool)
    return None if value is None else "number" if is_number else type(value).__name__


def lay_out_alike(optimizer: torch.optim.Optimizer) -> None:
    """Gives each moment the memory layout of its parameter: fused optimizers walk both by address."""
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)


def trainable(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Parameters of an optimizer that take gradients."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
