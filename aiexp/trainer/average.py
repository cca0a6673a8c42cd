"""Averages of the weights over training, which are evaluated, kept and used instead of the last weights."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from aiexp.checkpoint.part import is_sharded
from aiexp.errors import ConfigError
from aiexp.ranges import NonNegativeFloat, Share
from aiexp.task.base import Task
from aiexp.trainer.schedule import in_steps
from aiexp.trainer.sharding import load_weights


@final
class Average:
    """How the weights are averaged.

    - ema: an exponential moving average, mean = decay * mean + (1 - decay) * weights after every step. In the
      first steps decay = min(decay, (1 + n) / (10 + n)) after n steps, as TensorFlow's, so that the first
      weights are soon forgotten.
    - swa: the plain mean of the weights after every step since `start` (stochastic weight averaging).

    Sources: Polyak and Juditsky 1992; Izmailov et al. 2018 (arXiv 1803.05407) for swa. Departures: swa takes
    every step, not one an epoch; running statistics of batch norm are averaged too, not computed anew.

    Args:
        kind: "none", "ema" or "swa".
        decay: Of ema: factor on the past.
        start: The first step that counts: below 1 a share of all steps, else a number.

    Raises:
        ConfigError: a decay of 0, which is no average.
    """

    def __init__(self, *, kind: Literal["none", "ema", "swa"], decay: Share, start: NonNegativeFloat) -> None:
        if kind == "ema" and not 0 < decay < 1:
            raise ConfigError(f"decay {decay} is no average", where="decay", fix="for example decay=0.999")
        self.kind, self.decay, self.start = kind, decay, start

    def first_step(self, total_steps: int) -> int:
        """The first step that counts, from 1 on."""
        return max(1, round(in_steps(self.start, total_steps)))

    def weight(self, count: int) -> float:
        """Share of the newest weights in the average of so many and them."""
        if self.kind == "swa" or count == 0:
            return 1 / (count + 1)
        return 1 - min(self.decay, (1 + count) / (10 + count))


@final
class Averaging:
    """The average of one task's parameters and buffers beside those that are trained.

    Args:
        average: How.
        task: On its device, its weights laid out as they stay.
        total_steps: Of the run.
    """

    def __init__(self, average: Average, task: Task, total_steps: int) -> None:
        self.average, self.task = average, task
        self.first_step = average.first_step(total_steps)
        self.count = 0  # of weights in the average; without any it is nothing
        self.means: dict[str, Tensor] = {}

    @property
    def is_used(self) -> bool:
        """Whether there is an average to be used."""
        return self.count > 0

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step."""
        if self.average.kind == "none" or step < self.first_step:
            return
        weight = self.average.weight(self.count)
        if not self.count:
            self.means = {name: tensor.clone() for name, tensor in self._trained.items()}
        else:
            means: list[Any] = [local(self.means[name]) for name in self._trained]
            newest: list[Any] = [local(tensor) for tensor in self._trained.values()]
            get_ema_multi_avg_fn(1 - weight)(means, newest, self.count)
        self.count += 1

    @contextmanager
    def used(self) -> Generator[None]:
        """A body in which the task has the average; afterwards it has the trained weights again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        if self.is_used:
            for name, tensor in self._trained.items():
                mean, held = local(self.means[name]), local(tensor)
                kept = held.clone()
                held.copy_(mean)
                mean.copy_(kept)

    def drop(self) -> None:
        """Lets go of the average: the task has other weights now, of a checkpoint, which are averages."""
        self.count, self.means = 0, {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the average: asked inside `used`, so `means` are the trained."""
        return {"count": self.count, "trained": self.means}

    @torch.no_grad()
    def load_state(self, state: dict[str, Any] | None, model: dict[str, Any]) -> None:
        """Restores what `state` returned.

        Args:
            state: It; None of a checkpoint before the first weights that count.
            model: The tensors of the checkpoint, which hold the average; the task has them already.
        """
        if state is not None:
            self.count = state["count"]
            self.means = {name: tensor.clone() for name, tensor in self._trained.items()}
            load_weights(self.task, model | state["trained"])

    @cached_property
    def _trained(self) -> dict[str, Tensor]:
        """What is averaged, each tensor once: numbers with fractions that checkpoints hold."""
        kept = self.task.state_dict().keys()
        held = [*self.task.named_parameters(), *self.task.named_buffers()]
        return {name: t.detach() for name, t in held if name in kept and t.is_floating_point()}


def local(tensor: Tensor) -> Tensor:
    """What this rank has of a tensor."""
    sharded: Any = tensor
    return sharded.to_local() if is_sharded(tensor) else tensor
