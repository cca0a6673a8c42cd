"""A learning-rate range test: the loss while the rate rises, and the rate at which it falls fastest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from aiexp.errors import ConfigError, DivergedError
from aiexp.experiment import Experiment
from aiexp.runs.rehearsal import Rehearsal

LOWEST, HIGHEST = 1e-7, 10.0
STEPS = 100
SMOOTHING = 0.9  # factor on the past in the mean of the losses
WORST = 3.0  # times the smallest rise of the loss over it at which the test ends


@final
@dataclass(frozen=True, slots=True)
class Rising:
    """A schedule whose rate grows by the same factor at each step, whatever the optimizer's own is.

    Args:
        own: The optimizer's rate.
        num_steps: Until the highest rate.
    """

    own: float
    num_steps: int

    def rate(self, step: int) -> float:
        """Of step number `step`, counted from 1."""
        return LOWEST * (HIGHEST / LOWEST) ** ((step - 1) / max(self.num_steps - 1, 1))

    def factor(self, step: int, total_steps: int) -> float:
        """On the optimizer's own rate."""
        return self.rate(step) / self.own


@dataclass(frozen=True, kw_only=True, slots=True)
class RateRange:
    """What was seen.

    Args:
        rates: One a step, rising.
        losses: The mean of the losses until then, the newest counting most.
        steepest: The rate at which the loss fell fastest; None where it never fell.
        smallest: The rate at which it was smallest.
    """

    rates: list[float]
    losses: list[float]
    steepest: float | None
    smallest: float


def find_rates(experiment: Experiment, num_steps: int = STEPS) -> RateRange:
    """Trains some steps on weights that are thrown away, each with a higher rate than the one before.

    The rate is that of the first group of parameters; other groups keep their ratio to it. Source: Smith 2017
    (arXiv 1506.01186), section 3.3; the rate of the steepest fall as in fastai.

    Args:
        experiment: Built; its weights change.
        num_steps: From the lowest to the highest rate, unless the loss explodes before.

    Raises:
        ConfigError: the task has no single loss.
    """
    rehearsal = Rehearsal(experiment)
    stepper = rehearsal.stepper
    if len(stepper.optimizers) > 1:
        raise ConfigError(
            f"the task has {len(stepper.optimizers)} optimizers: no one rate can be looked for",
            where="--find-lr", fix="leave it out",
        )  # fmt: skip
    (optimizer,) = stepper.optimizers.values()
    rising: Any = Rising(optimizer.param_groups[0]["initial_lr"], num_steps)
    stepper.schedule = rising
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    try:
        for step in range(1, num_steps + 1):
            rehearsal.advance(1)
            loss = stepper.take_metrics().get("train/loss", math.nan)
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            rates.append(rising.rate(step))
            losses.append(mean / (1 - SMOOTHING**step))
            if not math.isfinite(loss) or has_exploded(losses):
                break
    except DivergedError:  # that is what the highest rates are there for
        pass
    if len(losses) < 3:
        raise DivergedError("the loss is not finite at the smallest learning rate", where="--find-lr")
    return RateRange(
        rates=rates, losses=losses, steepest=steepest(rates, losses),
        smallest=rates[min(range(len(losses)), key=losses.__getitem__)],
    )  # fmt: skip


def has_exploded(losses: Sequence[float]) -> bool:
    """Whether the newest loss is above the first by more than all that the loss has fallen, several times."""
    fall = losses[0] - min(losses)
    return losses[-1] > losses[0] + WORST * max(fall, 0.1 * abs(losses[0]))


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss fell fastest over the logarithm of the rate, before it was smallest.

    Args:
        rates: By a constant factor apart.
        losses: Smoothed.
    """
    end = min(range(len(losses)), key=losses.__getitem__)
    falls = [(losses[i + 1] - losses[i - 1], i) for i in range(1, min(end + 1, len(losses) - 1))]
    slope, place = min(falls, default=(0.0, 0))
    return rates[place] if slope < 0 else None
