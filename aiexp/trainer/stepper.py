"""One optimizer step: micro-batches in lockstep, backward, finiteness, clipping, update."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from aiexp.errors import CheckpointError, ConfigError, DivergedError
from aiexp.hardware.hardware import Hardware
from aiexp.task.base import Task, Update, to_device
from aiexp.task.contract import (
    YIELD,
    as_number,
    broken,
    check_loss,
    checked_metrics,
    checked_optimizers,
    misfits,
)
from aiexp.trainer.captures import Captures
from aiexp.trainer.finiteness import AtOnce, Finiteness, Later
from aiexp.trainer.schedule import AnySchedule, set_initial_rates
from aiexp.trainer.sharding import clipped, fitted_moments
from aiexp.trainer.together import Window as Totals
from aiexp.trainer.together import check_alike, merged, synced
from aiexp.trainer.window import Window
from aiexp.world.share import own_part, share_out

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
        self, task: Task, hardware: Hardware, *, schedule: AnySchedule, total_steps: int, clip: float | None
    ) -> None:
        self.task, self.schedule, self.total_steps, self.clip = task, schedule, total_steps, clip
        self.device = hardware.device
        self.autocast = hardware.autocast()
        self.optimizers = checked_optimizers(task)
        self.parameters = {name: trainable(o) for name, o in self.optimizers.items()}
        set_initial_rates(self.optimizers)
        self.scaler = torch.amp.GradScaler("cuda") if hardware.precision == "fp16" else None
        self.world = hardware.world
        is_gpu, is_scaled = self.device.type == "cuda", self.scaler is not None
        self.metrics = Window(task, is_deferred=is_gpu)
        self.finiteness: Finiteness = (
            Later(self.world, self.device, is_scaled=is_scaled)
            if is_gpu
            else AtOnce(self.world, is_scaled=is_scaled)
        )
        self.synced = synced(self.parameters, task) if self.world.size > 1 else {}
        self.rates: dict[str, list[float]] = {}  # learning rates of each optimizer's groups
        self.captures: Captures | None = None
        if hardware.records_steps and isinstance(self.finiteness, Later):
            self.captures = Captures(
                task, self._compute, metrics=self.metrics, finiteness=self.finiteness,
                optimizers=self.optimizers, device=self.device,
            )  # fmt: skip

    def step(self, number: int, batches: list[Any]) -> None:
        """Runs optimizer step `number` (from 1) on its micro-batches.

        Raises:
            DivergedError: a loss or gradient is not finite; the update was not applied. On a GPU this is
                found at the next line or checkpoint, and nothing is applied until then.
            ConfigError: the task breaks the contract of `train_step`.
        """
        self._set_rates(self.schedule.factor(number, self.total_steps))
        part = share_out if self.task.shares_batches else own_part
        shared = [part(batch, self.world) for batch in batches]
        parts = [(self.task.drawn(rows), share) for rows, share in shared]
        if self.captures is not None:
            self.captures.step(number, parts)
        else:
            self._compute(number, parts)
        if metrics := self.task.take_metrics():
            for name, metric in checked_metrics(self.task, metrics).items():
                self.metrics.count(name, metric, 1.0 / self.world.size)

    def _set_rates(self, factor: float) -> None:
        """Gives each group its learning rate: as a tensor, in place, to one that may be recorded."""
        for name, optimizer in self.optimizers.items():
            self.rates[name] = [group["initial_lr"] * factor for group in optimizer.param_groups]
            for group, rate in zip(optimizer.param_groups, self.rates[name], strict=True):
                if self.captures is None or not self.captures.is_possible:
                    group["lr"] = rate
                elif isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = torch.full((), rate, device=self.device)

    def _compute(self, number: int, parts: list[tuple[Any, float]]) -> None:
        """The updates of a step, of micro-batches and this rank's share of each."""
        micros = [
            Micro(self._start(to_device(part, self.device)), share, len(parts), is_last=i == len(parts) - 1)
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
        share = self._share(update, micro.share)
        answered = self.finiteness.see_loss(name, loss, number)
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
        self.metrics.count("loss" if len(self.parameters) == 1 else f"loss/{name}", answered(), share)
        for metric_name, metric in checked_metrics(self.task, update.metrics).items():
            self.metrics.count(metric_name, metric, micro.share)
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
            name = next(iter(self.parameters))
            raise broken(self.task, "train_step", what, fix=f"yield Update(loss=..., optimizer='{name}')")
        check_loss(self.task, update)
        return update

    def _share(self, update: Update, share: float) -> float:
        """This rank's share in the loss of the whole batch."""
        if update.weight is None or self.world.size == 1:
            return share
        weight = as_number(self.task, "train_step", "weight", update.weight)
        total = sum(self.world.ask(weight)())
        return weight / total if total else share

    def _next(self, generator: Iterator[Update]) -> Update | None:
        """Runs a generator on to its next update, in the run's precision."""
        with misfits(), self.autocast:
            return next(generator, None)

    def _apply(self, name: str, number: int) -> None:
        optimizer = self.optimizers[name]
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)
        norm = None if self.clip is None else clipped(self.parameters[name], self.clip)
        self.finiteness.see_gradient(name, optimizer, norm, number)
        if norm is not None:
            key = "gradient_norm" if len(self.parameters) == 1 else f"gradient_norm/{name}"
            share = 1 if self.world.size == 1 else 1 / self.world.size
            # A scaled fp16 gradient may overflow: the scaler then skips the update and lowers its scale.
            self.metrics.count(key, norm, share, finite_only=self.scaler is not None)
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
        self.finiteness.check()
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

    @property
    def window(self) -> Totals:
        """Total and divisor of each metric since the last line."""
        return self.metrics.totals

    @window.setter
    def window(self, totals: Totals) -> None:
        self.metrics.totals = totals

    def take_metrics(self) -> dict[str, float]:
        """Metrics since the last call, as `train/...` unless named `env/` or `time/`, and learning rates.

        Raises:
            DivergedError: an update since then was not applied.
        """
        self.finiteness.check()
        window, kinds = self.window, self.metrics.kinds
        if self.world.size > 1:
            window = merged(self.world.gather(window), kinds)
        means = {name: total / count for name, (total, count) in window.items()}
        own = ("env/", "time/")
        metrics = {n if n.startswith(own) else f"train/{n}": mean for n, mean in means.items()}
        self.window = {}
        for name, optimizer in self.optimizers.items():
            key = "train/learning_rate" if len(self.optimizers) == 1 else f"train/learning_rate/{name}"
            metrics[key] = max(self.rates.get(name) or [group["lr"] for group in optimizer.param_groups])
        return metrics

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "optimizers": {name: self._optimizer_state(name) for name in self.optimizers},
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "window": self.window,
        }

    def _optimizer_state(self, name: str) -> dict[str, Any]:
        """The state of an optimizer, the same whether its steps are recorded or not."""
        state = self.optimizers[name].state_dict()
        if self.captures is not None and name in self.rates:
            for group, rate in zip(state["param_groups"], self.rates[name], strict=True):
                group["lr"] = rate
                group |= {"capturable": False} if "capturable" in group else {}
        return state

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
