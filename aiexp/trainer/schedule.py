"""Learning-rate schedules: a factor on every optimizer's own learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from aiexp.ranges import NonNegativeFloat, Probability


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Linear warm-up from 0, a hold at the full rate, then `shape` down to `final` of the learning rate.

    Args:
        shape: "constant", "linear" or "cosine" (half a period; Loshchilov & Hutter, arXiv 1608.03983, eq. 5).
        warmup: Below 1: share of all steps; otherwise a number of optimizer steps.
        hold: Until when the rate stays full, warm-up included: a share or a number of steps likewise; unused
            by "constant".
        final: Factor reached at the last step, in [0, 1]; unused by "constant".
    """

    shape: Literal["constant", "linear", "cosine"]
    warmup: NonNegativeFloat
    hold: NonNegativeFloat
    final: Probability

    def factor(self, step: int, total_steps: int) -> float:
        """Factor for optimizer step number `step`, counted from 1 to `total_steps`."""
        warmup = in_steps(self.warmup, total_steps)
        if step <= warmup:
            return step / warmup
        start = max(warmup, in_steps(self.hold, total_steps))
        if self.shape == "constant" or step <= start:
            return 1.0
        progress = min((step - start) / max(total_steps - start, 1), 1.0)
        fall = 1 - progress if self.shape == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.final + (1 - self.final) * fall


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MultiStep:
    """Linear warm-up from 0, then `gamma` once more at each milestone (He et al. 2016, section 3.4).

    Args:
        milestones: Shares of all steps (below 1), or numbers of optimizer steps.
        gamma: Factor at each, in [0, 1].
        warmup: A share or a number of steps likewise.
    """

    milestones: list[NonNegativeFloat]
    gamma: Probability
    warmup: NonNegativeFloat

    def factor(self, step: int, total_steps: int) -> float:
        """Factor for optimizer step number `step`, counted from 1 to `total_steps`."""
        warmup = in_steps(self.warmup, total_steps)
        passed = sum(step > in_steps(milestone, total_steps) for milestone in self.milestones)
        return min(step / warmup, 1.0) * self.gamma**passed if warmup else self.gamma**passed


AnySchedule = Schedule | MultiStep  # whatever a trainer takes


def in_steps(length: float, total_steps: int) -> int:
    """A length given as a share of all steps (below 1) or as a number of steps, in steps."""
    return round(length * total_steps) if length < 1 else round(length)


def set_initial_rates(optimizers: Mapping[str, Any]) -> None:
    """Writes into each group of new optimizers the learning rate that a schedule is a factor of."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"] * group.get("lr_scale", 1.0))
