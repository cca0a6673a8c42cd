"""Which weights are the result, and when to stop early."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

from aiexp.errors import ConfigError, nearest
from aiexp.ranges import Begins, PositiveInt
from aiexp.trainer.average import Average


@final
class Selection:
    """Follows one metric over the evaluations of a run.

    Args:
        monitor: Full name of the metric ("eval/accuracy"), or null to keep the last checkpoint.
        mode: "max" or "min".
        patience: Stop after this many evaluations without improvement; null never stops early.
        average: Whether an average of the weights is evaluated, kept and used instead of the last ones.

    Raises:
        ConfigError: patience without a metric.
    """

    def __init__(
        self,
        *,
        monitor: Annotated[str, Begins("eval/")] | None,
        mode: Literal["max", "min"],
        patience: PositiveInt | None,
        average: Average,
    ) -> None:
        if patience is not None and monitor is None:
            raise ConfigError(
                f"patience {patience} needs a monitored metric", where="patience", fix="patience=null"
            )
        self.monitor, self.mode, self.patience, self.average = monitor, mode, patience, average
        self.best: Best | None = None
        self.evaluations_since_best = 0

    def check(self, available: list[str]) -> None:
        """Raises `ConfigError` unless the monitored metric is among the names an evaluation returns."""
        if self.monitor is not None and self.monitor not in available:
            raise ConfigError(
                f"no metric '{self.monitor}' to monitor.{nearest(self.monitor, available)}",
                where="Selection.monitor",
                fix="one of " + ", ".join(sorted(available)),
            )

    def update(self, step: int, metrics: dict[str, float]) -> bool:
        """Takes an evaluation into account; true if it is the best so far. NaN never is."""
        if self.monitor is None:
            return False
        value = metrics[self.monitor]
        sign = 1 if self.mode == "max" else -1
        if value == value and (self.best is None or sign * value > sign * self.best.value):
            self.best, self.evaluations_since_best = Best(step=step, value=value), 0
            return True
        self.evaluations_since_best += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.evaluations_since_best >= self.patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        best = None if self.best is None else [self.best.step, self.best.value]
        return {"best": best, "evaluations_since_best": self.evaluations_since_best}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.best = Best(step=state["best"][0], value=state["best"][1]) if state["best"] else None
        self.evaluations_since_best = state["evaluations_since_best"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best evaluation so far."""

    step: int
    value: float
