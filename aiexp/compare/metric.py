"""The metric that runs are compared by, and whether more of it is better."""

import re
from collections import Counter
from dataclasses import dataclass

from aiexp.errors import ConfigError, nearest
from aiexp.rundir import judged_by
from aiexp.rundir.record import RunRecord
from aiexp.task.report import Better

SHARES = re.compile(r"accuracy|acc\b|f1|auc|precision|recall|success|iou|dice")  # 0.876 is 87.6 points
RETURNS = re.compile(r"return|reward")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A metric's name and what is known of it.

    Args:
        name: Its full name, "test/accuracy".
        is_higher_better: The direction.
        is_direction_known: Whether the config or the task says so; else it is a guess.
        is_return: Whether it is what an agent earns, whose outliers call for the interquartile mean.
    """

    name: str
    is_higher_better: bool
    is_direction_known: bool = True
    is_return: bool = False

    @property
    def sign(self) -> int:
        """1 when more is better, else -1."""
        return 1 if self.is_higher_better else -1

    def in_points(self, scores: list[float]) -> bool:
        """Whether differences read better in hundredths: a share between 0 and 1."""
        return bool(SHARES.search(self.name)) and all(0 <= score <= 1 for score in scores)


def choose_metric(records: list[RunRecord], name: str | None, direction: Better | None) -> Metric:
    """The metric asked for, or the one that the runs' tasks are judged by.

    Args:
        records: At least one, all with metrics.
        name: As typed; the part after the last slash will do where only one metric has it.
        direction: As typed, or None to find it out.

    Raises:
        ConfigError: no run has such a metric.
    """
    held = Counter(metric for record in records for metric in record.metrics)
    if not held:
        raise ConfigError(
            "none of the runs has logged a metric", fix="aiexp doctor RUN says what a run lacks"
        )
    chosen = _default(records, held) if name is None else _named(name, held)
    known = direction or next((way for r in records if (way := _direction(r, chosen)) is not None), None)
    return Metric(
        name=chosen,
        is_higher_better=known != "min",
        is_direction_known=known is not None,
        is_return=bool(RETURNS.search(chosen)),
    )


def _named(name: str, held: Counter[str]) -> str:
    """The full name of a metric."""
    if name in held:
        return name
    fits = [metric for metric in held if metric.rpartition("/")[2] == name]
    tests = [metric for metric in fits if metric.startswith("test/")]
    if fits and (len(fits) == 1 or tests):
        return (tests or fits)[0]
    what = (
        f"'{name}' is in {', '.join(fits)}" if fits else f"no run has a metric '{name}'.{nearest(name, held)}"
    )
    raise ConfigError(what, where="--metric", fix=f"one of {', '.join(sorted(held))}")


def _direction(record: RunRecord, name: str) -> Better | None:
    """Which way a metric is better, by one of the runs."""
    return judged_by.direction(name, record.config.get, record.better)


def _default(records: list[RunRecord], held: Counter[str]) -> str:
    """What the runs are judged by, if runs of every task have it."""
    places: dict[str, int] = {}
    for record in records:
        for place, name in enumerate(judged_by.candidates(record.metrics, record.config.get, record.better)):
            places[name] = min(place, places.get(name, place))
    order = sorted(places, key=lambda name: (places[name], -held[name]))
    tasks = {record.task for record in records}
    tasks_of = {m: {r.task for r in records if m in r.metrics} for m in order}
    common = [metric for metric in order if tasks_of[metric] == tasks]
    return common[0] if common else max(order, key=lambda metric: held[metric])
