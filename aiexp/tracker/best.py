"""The best value of the monitored metric, for a tracker's summary."""

import math
from typing import final

from aiexp.rundir import judged_by
from aiexp.rundir.changes import flatten
from aiexp.rundir.file import METRICS
from aiexp.rundir.metrics import read_metrics
from aiexp.tracker.base import RunInfo


@final
class Best:
    """A running best (trackers keep the last value themselves).

    Args:
        monitor: Full name of the metric, or None.
        mode: "max" or "min".
    """

    def __init__(self, *, monitor: str | None, mode: str) -> None:
        self.monitor, self.sign = monitor, 1.0 if mode == "max" else -1.0
        self.value: float | None = None

    @classmethod
    def of(cls, run: RunInfo) -> "Best":
        """What `trainer.selection` names; a resumed run begins with what its metrics.jsonl holds."""
        monitor, mode = judged_by.selection(flatten(run.config).get)
        best = cls(monitor=monitor, mode=mode)
        path = run.directory / METRICS
        if run.previous and path.exists():
            for metrics in read_metrics(path):
                best.update(metrics)
        return best

    def update(self, metrics: dict[str, float]) -> bool:
        """Whether `metrics` holds a new best value; NaN never is."""
        value = metrics.get(self.monitor or "", math.nan)
        is_best = self.value is None or self.sign * value > self.sign * self.value
        if math.isnan(value) or not is_best:
            return False
        self.value = value
        return True
