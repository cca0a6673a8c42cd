"""The best value of each metric whose direction is known, for a tracker's summary."""

import math
from typing import Any, final

from aiexp.config.dotted import flatten
from aiexp.rundir import judged_by
from aiexp.rundir.file import METRICS, STATUS, read_or_empty
from aiexp.rundir.metrics import read_metrics
from aiexp.tracker.base import RunInfo


@final
class Best:
    """Running bests of what is evaluated and of the monitored metric; a resumed run knows the old ones.

    (Trackers keep the last values themselves. W&B's own `define_metric(summary="max")` begins anew when a run
    is resumed: of 0.9, and 0.7 after the resumption, it made 0.7.)

    Args:
        run: `trainer.selection` of its config says which way the monitored metric is better, status.json what
            its task says of others.
    """

    def __init__(self, run: RunInfo) -> None:
        self._value_of = flatten(run.config).get
        self._monitor, _ = judged_by.selection(self._value_of)
        self._status = run.directory / STATUS
        self._signs: dict[str, float] = {}  # 0 for a metric that has no best
        self.values: dict[str, float] = {}
        path = run.directory / METRICS
        if run.previous and path.exists():
            for metrics in read_metrics(path):
                self.update(metrics)

    def update(self, metrics: dict[str, float]) -> dict[str, float]:
        """Those of `metrics` that are better than all before them; NaN never is."""
        better: dict[str, float] = {}
        for name, value in metrics.items():
            sign, known = self._sign(name), self.values.get(name)
            if sign and not math.isnan(value) and (known is None or sign * value > sign * known):
                better[name] = value
        self.values |= better
        return better

    def _sign(self, name: str) -> float:
        """1 where larger values are better, -1 where smaller ones are, 0 for neither."""
        if name not in self._signs:
            is_judged = name == self._monitor or name.startswith(("eval/", "test/"))
            better = self._direction(name) if is_judged else None
            self._signs[name] = {"max": 1.0, "min": -1.0}.get(better or "", 0.0)
        return self._signs[name]

    def _direction(self, name: str) -> judged_by.Better | None:
        said: dict[str, Any] = read_or_empty(self._status).get("better") or {}
        return judged_by.direction(name, self._value_of, said)
