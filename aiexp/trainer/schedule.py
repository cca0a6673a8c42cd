"""Learning-rate schedules: a factor on every optimizer's own learning rate."""

import math
from dataclasses import dataclass
from typing import Literal, final

from aiexp.errors import ConfigError


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

    Raises:
        ConfigError: a value is out of range.
    """

    shape: Literal["constant", "linear", "cosine"]
    warmup: float
    hold: float
    final: float

    def __post_init__(self) -> None:
        if self.shape not in ("constant", "linear", "cosine"):
            raise ConfigError(
                f"unknown schedule '{self.shape}'",
                where="trainer.schedule.shape",
                fix="constant, linear or cosine",
            )
        for key, value in {"warmup": self.warmup, "hold": self.hold}.items():
            if value < 0:
                raise ConfigError(f"{key} is {value}; it cannot be negative", where=f"trainer.schedule.{key}")
        if not 0 <= self.final <= 1:
            raise ConfigError(f"final is {self.final}; it must lie in [0, 1]", where="trainer.schedule.final")

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


def in_steps(length: float, total_steps: int) -> int:
    """A length given as a share of all steps (below 1) or as a number of steps, in steps."""
    return round(length * total_steps) if length < 1 else round(length)
