"""The metric that runs are compared by, and whether more of it is better."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from aiexp.errors import ConfigError, nearest
from aiexp.rundir.record import RunRecord

# Parts of a metric's name, looked for in this order; the first that fits decides.
DIRECTIONS: tuple[tuple[Literal["max", "min"], str], ...] = (
    ("max", r"margin|per_second|improvement"),
    ("min", r"loss|error|err\b|distance|fid\b|perplexity|ppl|bits|nll|mse|mae|rmse|regret|wer\b|cer\b"),
    ("min", r"seconds|bytes|memory|\bl1|\bl2|largest_class_share"),
    ("max", r"accuracy|acc\b|acc_|f1|auc|precision|recall|return|reward|score|success|ssim|psnr|bleu|rouge"),
    ("max", r"r2\b|iou|dice|correlation|covered|top\d|map\b|episode_length"),
)
SHARES = re.compile(r"accuracy|acc\b|f1|auc|precision|recall|success|iou|dice")  # 0.876 is 87.6 points
RETURNS = re.compile(r"return|reward")
PREFERRED = (
    "test/accuracy",
    "test/return_mean",
    "test/loss",
    "eval/accuracy",
    "eval/return_mean",
    "eval/loss",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A metric's name and what is known of it.

    Args:
        name: Its full name, "test/accuracy".
        is_higher_better: The direction.
        is_direction_known: Whether the config or the name says so; else it is a guess.
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


def choose_metric(
    records: list[RunRecord], name: str | None, direction: Literal["max", "min"] | None
) -> Metric:
    """The metric asked for, or the one that the runs' tasks are judged by.

    Args:
        records: At least one, all with metrics.
        name: As typed; the part after the last slash will do where only one metric has it.
        direction: As typed, or None to find it out.

    Raises:
        ConfigError: No run has such a metric.
    """
    held = Counter(metric for record in records for metric in record.metrics)
    if not held:
        raise ConfigError(
            "none of the runs has logged a metric", fix="aiexp doctor RUN says what a run lacks"
        )
    chosen = _default(records, held) if name is None else _named(name, held)
    known = direction or _configured(records, chosen) or _by_name(chosen)
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


def _default(records: list[RunRecord], held: Counter[str]) -> str:
    """What the task's reference or the monitored metric names, if runs of every task have it."""
    wanted: list[str] = []
    for record in records:
        reference, monitor = (
            record.config.get(k) for k in ("task.reference.metric", "trainer.selection.monitor")
        )
        names = [reference, f"test/{str(monitor).rpartition('/')[2]}" if monitor else None, monitor]
        wanted += [str(n) for n in names if n in held and n not in wanted]
    order = dict.fromkeys([*wanted, *(p for p in PREFERRED if p in held), *_by_split(held)])
    tasks = {record.task for record in records}
    tasks_of = {m: {r.task for r in records if m in r.metrics} for m in order}
    common = [metric for metric in order if tasks_of[metric] == tasks]
    return common[0] if common else max(order, key=lambda metric: held[metric])


def _by_split(held: Counter[str]) -> list[str]:
    """Metrics whose direction is known first, of the test split first."""
    splits = ("test/", "eval/", "train/", "")

    def rank(name: str) -> tuple[bool, int, int]:
        split = next(i for i, prefix in enumerate(splits) if name.startswith(prefix))
        return _by_name(name) is None or name == "train/epoch", split, -held[name]

    return sorted(held, key=rank)


def _configured(records: list[RunRecord], name: str) -> Literal["max", "min"] | None:
    """The direction by `trainer.selection`, which follows the metric or the same one of another split."""
    for record in records:
        monitor, mode = (record.config.get(f"trainer.selection.{key}") for key in ("monitor", "mode"))
        if isinstance(monitor, str) and monitor.rpartition("/")[2] == name.rpartition("/")[2]:
            return "max" if mode == "max" else "min" if mode == "min" else None
    return None


def _by_name(name: str) -> Literal["max", "min"] | None:
    """The direction by the metric's name."""
    leaf = name.rpartition("/")[2].lower()
    text = f"{leaf} {leaf.replace('_', ' ')}"
    return next((direction for direction, pattern in DIRECTIONS if re.search(pattern, text)), None)
