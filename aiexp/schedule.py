"""Learning-rate schedules: a factor on every optimizer's own learning rate."""

import math
from dataclasses import dataclass
from typing import Literal, final

from aiexp.errors import ConfigError


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Linear warm-up from 0, then `shape` down to `final` of the learning rate.

    Args:
        shape: "constant", "linear" or "cosine" (half a period; Loshchilov & Hutter, arXiv 1608.03983, eq. 5).
        warmup: Below 1: share of all steps; otherwise a number of optimizer steps.
        final: Factor reached at the last step, in [0, 1]; unused by "constant".

    Raises:
        ConfigError: a value is out of range.
    """

    shape: Literal["constant", "linear", "cosine"]
    warmup: float
    final: float

    def __post_init__(self) -> None:
        if self.shape not in ("constant", "linear", "cosine"):
            raise ConfigError(
                f"unknown schedule '{self.shape}'",
                where="trainer.schedule.shape",
                fix="constant, linear or cosine",
            )
        if self.warmup < 0:
            raise ConfigError(
                f"warmup is {self.warmup}; it cannot be negative", where="trainer.schedule.warmup"
            )
        if not 0 <= self.final <= 1:
            raise ConfigError(f"final is {self.final}; it must lie in [0, 1]", where="trainer.schedule.final")

    def warmup_steps(self, total_steps: int) -> int:
        """Length of the warm-up in optimizer steps."""
        return round(self.warmup * total_steps) if self.warmup < 1 else round(self.warmup)

    def factor(self, step: int, total_steps: int) -> float:
        """Factor for optimizer step number `step`, counted from 1 to `total_steps`."""
        warmup = self.warmup_steps(total_steps)
        if step <= warmup:
            return step / warmup
        if self.shape == "constant":
            return 1.0
        progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
        fall = 1 - progress if self.shape == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.final + (1 - self.final) * fall
