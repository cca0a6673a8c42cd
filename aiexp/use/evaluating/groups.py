"""A classifier's measures group by group: by class, or by a column of the table of the data."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.errors import ConfigError, DataError, HardwareError
from aiexp.use.evaluating.measure import Measure, count, interval_of, measures_for, resample
from aiexp.use.evaluating.resampling import Interval, interval
from aiexp.use.evaluating.scores import Scores

CLASS = "class"
MISSING = "(missing)"
MOST_GROUPS = 50
MOST_NUMBERS = 12  # different ones; of more, quarters are made


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The examples of a group.

    Args:
        name: The value of the column.
        count: How many.
        values: Measure to value; NaN where it has none.
        intervals: Measure to 95 % interval.
    """

    name: str
    count: int
    values: dict[str, float]
    intervals: dict[str, Interval | None]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How far groups are apart in a measure.

    Args:
        difference: Between the largest and the smallest value.
        interval: 95 %, of that.
        ratio: Of the smallest to the largest.
        overall: Of all examples together.
    """

    difference: float
    interval: Interval | None
    ratio: float
    overall: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """A classifier's measures by groups.

    Args:
        by: The column, or `class`.
        positive: Of two classes the one that rates and F1 are about; empty where there is none.
        groups: In the order of their values.
        spreads: Measure to how far they are apart.
    """

    by: str
    positive: str
    groups: list[Group]
    spreads: dict[str, Spread]

    @property
    def smallest(self) -> Group:
        """The one with the fewest examples."""
        return min(self.groups, key=lambda group: group.count)

    def numbers(self) -> dict[str, Any]:
        """As JSON values."""
        groups = [{**asdict(g), "values": {k: number(v) for k, v in g.values.items()}} for g in self.groups]
        spreads = {
            name: {**asdict(s), **{k: number(getattr(s, k)) for k in ("difference", "ratio", "overall")}}
            for name, s in self.spreads.items()
        }
        return {
            "by": self.by, "positive": self.positive, "groups": groups, "spreads": spreads,
            "smallest": self.smallest.name,
        }  # fmt: skip


def number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if value != value else value


def check_extra() -> None:
    """Raises `HardwareError` where fairlearn is missing."""
    try:
        import fairlearn.metrics  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingTypeStubs]
    except ImportError as error:
        raise HardwareError(
            f"--by needs {error.name}, which is not installed", fix="pip install 'aiexp[evaluate]'"
        ) from error


@final
@dataclass(frozen=True, slots=True)
class Keys:
    """To which group each example of a split belongs.

    Args:
        by: The column, or `class`.
        of: (N,) the group of each; empty where it is the class.
        order: The groups.
    """

    by: str
    of: list[str]
    order: list[str]


def read_keys(dataset: Any, split: str, by: str) -> Keys:
    """The groups of the examples of a split.

    Raises:
        ConfigError: there is no such column, or it has too many values.
        HardwareError: fairlearn is missing.
    """
    check_extra()
    if by == CLASS:
        return Keys(by, [], [])
    fix = "--by class, or a column of the table of text_files or hub"
    if not hasattr(dataset, "column"):
        raise ConfigError(f"these data are no table: they have no column '{by}'", where="--by", fix=fix)
    try:
        cells: Sequence[Any] = dataset.column(split, by)
    except DataError as error:
        raise ConfigError(error.what, where=f"--by {by}", fix=fix) from error
    return Keys(by, *grouped(cells, by))


def by_groups(scores: Scores, keys: Keys) -> Groups:
    """The measures of each group and how far they are apart, by fairlearn; intervals by resampling.

    Args:
        scores: The answers to be judged.
        keys: The groups of the examples of the split.
    """
    is_by_class, names = keys.by == CLASS, scores.class_names
    if is_by_class:
        of, order = [names[label] for label in scores.labels], names
    else:
        of, order = [keys.of[place] for place in scores.places.tolist()], keys.order
    groups = np.array(of, dtype=object)
    members = {name: rows for name in order if len(rows := np.flatnonzero(groups == name))}
    measures = measures_for(len(names), is_by_class=is_by_class)
    return Groups(
        by=keys.by, positive=names[1] if "f1" in measures else "", **measured(scores, members, measures)
    )


def grouped(values: Sequence[Any], by: str) -> tuple[list[str], list[str]]:
    """The group of each value, and the groups in their order; of many different numbers quarters are made.

    Raises:
        ConfigError: there are too many groups.
    """
    texts = [MISSING if _is_missing(value) else str(value).strip() for value in values]
    numbers = np.array([_as_number(text) for text in texts])
    is_there = np.array([text != MISSING for text in texts])
    if is_there.any() and not np.isnan(numbers[is_there]).any():
        known = numbers[is_there]
        if len(np.unique(known)) > MOST_NUMBERS:
            return quarters(numbers, is_there)
        return texts, sorted(set(texts), key=lambda text: (text == MISSING, _as_number(text)))
    order = sorted(set(texts), key=lambda text: (text == MISSING, text))
    if len(order) > MOST_GROUPS:
        raise ConfigError(
            f"column '{by}' has {len(order):,} different values: groups would be too small", where="--by",
            fix=f"a column with at most {MOST_GROUPS}, or of numbers",
        )  # fmt: skip
    return texts, order


def quarters(numbers: NDArray[np.float64], is_there: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """The quarter of each number, by its smallest and largest: `18 to 33`."""
    known = numbers[is_there]
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75]))
    places = np.searchsorted(edges, numbers, "left")
    parts = {place: known[np.searchsorted(edges, known, "left") == place] for place in range(len(edges) + 1)}
    names = {place: f"{part.min():g} to {part.max():g}" for place, part in parts.items() if len(part)}
    keys = [
        names[place] if there else MISSING for place, there in zip(places.tolist(), is_there, strict=True)
    ]
    return keys, [*names.values(), MISSING]


def _is_missing(value: Any) -> bool:
    return value is None or value != value or not str(value).strip()


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def measured(
    scores: Scores, members: dict[str, NDArray[np.intp]], measures: dict[str, Measure]
) -> dict[str, Any]:
    """The arguments `groups` and `spreads` of `Groups`.

    Args:
        scores: The answers.
        members: The rows of each group, in their order.
        measures: By name.
    """
    from fairlearn.metrics import MetricFrame  # pyright: ignore[reportMissingTypeStubs]

    num_classes, true, predicted = len(scores.class_names), scores.labels, scores.predicted
    numbers = np.empty(len(true), np.int64)  # of the groups: names that look alike to pandas stay apart
    for number, rows in enumerate(members.values()):
        numbers[rows] = number

    def of_labels(measure: Measure) -> Callable[[Any, Any], float]:
        def value(y_true: Any, y_pred: Any) -> float:
            return float(measure(count(np.asarray(y_true), np.asarray(y_pred), num_classes)))

        return value

    frame: Any = MetricFrame(
        metrics={name: of_labels(measure) for name, measure in measures.items()},
        y_true=true, y_pred=predicted, sensitive_features=numbers,
    )  # fmt: skip
    random = np.random.default_rng(len(true))
    counted = [count(true[rows], predicted[rows], num_classes) for rows in members.values()]
    drawn = [resample(true[rows], predicted[rows], num_classes, random) for rows in members.values()]
    groups = [
        Group(
            name=name,
            count=len(rows),
            values={m: float(frame.by_group[m][number]) for m in measures},
            intervals={m: interval_of(measures[m], counted[number], drawn[number]) for m in measures},
        )
        for number, (name, rows) in enumerate(members.items())
    ]
    differences, ratios, overall = frame.difference(), frame.ratio(), frame.overall
    spreads = {
        m: Spread(
            difference=float(differences[m]),
            interval=spread_interval(np.stack([measures[m](counts) for counts in drawn])),
            ratio=float(ratios[m]),
            overall=float(overall[m]),
        )
        for m in measures
    }
    return {"groups": groups, "spreads": spreads}


def spread_interval(values: NDArray[np.float64]) -> Interval | None:
    """The 95 % interval of the difference between the largest and the smallest of groups' (G, R) values."""
    is_known = ~np.isnan(values).any(0)
    return interval(np.where(is_known, values.max(0) - values.min(0), np.nan))
