"""A comparison as rows of text, for the terminal and for Markdown."""

from collections.abc import Sequence

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.varying import MISSING, show_value
from aiexp.text.number import decimals_for, duration, file_size, show

HOW = {
    "mean": "means with 95 % intervals (studentized bootstrap, below 5 {unit} Student's)",
    "interquartile mean": "interquartile means with 95 % intervals (bootstrap, below 6 {unit} Student's)",
}


def header(comparison: Comparison) -> list[str]:
    """The names of the columns."""
    hours = [name for name, _ in _hours(comparison.groups)]
    return [
        *_keys(comparison),
        comparison.metric.name,
        "95 % interval",
        comparison.unit,
        "time",
        "memory",
        *hours,
    ]


def num_keys(comparison: Comparison) -> int:
    """How many of the columns say which group it is."""
    return len(_keys(comparison))


def rows(comparison: Comparison) -> list[list[str]]:
    """The cells of each group, the best first."""
    groups = comparison.groups
    halves = [(g.interval.high - g.interval.low) / 2 if g.interval else None for g in groups]
    decimals = decimals_for(halves, [group.center for group in groups])
    hours = [_column(values) for _, values in _hours(groups)]
    return [
        [*_identity(comparison, group), *_result(group, decimals), *(column[i] for column in hours)]
        for i, group in enumerate(groups)
    ]


def remarks(comparison: Comparison) -> list[str]:
    """How the numbers were made, in one line or two."""
    lines: list[str] = []
    if comparison.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in _shares(comparison))
        lines.append(f"of the variation between configs explains (fANOVA): {shares}")
    if any(group.interval for group in comparison.groups):
        method = HOW[comparison.statistic].format(unit=comparison.unit)
        lines.append(f"{method}, {'higher' if comparison.metric.is_higher_better else 'lower'} is better")
    if tested := [d for d in comparison.differences if d.p is not None]:
        pairing = {True: "paired by seed", False: "unpaired"}
        how = " or ".join(
            pairing[is_paired] for is_paired in sorted({d.is_paired for d in tested}, reverse=True)
        )
        lines.append(f"differences {how}, corrected for their number (Holm, 5 %); enough seeds: power 80 %")
    return lines


def best(comparison: Comparison, most: int) -> Sequence[list[str]]:
    """The first rows; all of them when `most` is 0."""
    return rows(comparison)[: most or None]


def _keys(comparison: Comparison) -> list[str]:
    has_letters = any(group.name != group.label for group in comparison.groups)
    return [*([""] if has_letters else []), *(comparison.names[key] for key in comparison.columns)]


def _identity(comparison: Comparison, group: Group) -> list[str]:
    values = [show_value(group.values.get(key, MISSING)) for key in comparison.columns]
    return [group.name, *values] if len(_keys(comparison)) > len(values) else values


def _result(group: Group, decimals: int) -> list[str]:
    interval = group.interval
    count = len(group.scores)
    return [
        show(group.center, decimals),
        f"{show(interval.low, decimals)} to {show(interval.high, decimals)}" if interval else "-",
        f"{count} of {count + group.num_lost}" if group.num_lost else str(count),
        duration(group.seconds) if group.seconds is not None else "-",
        file_size(group.peak_memory_bytes) if group.peak_memory_bytes else "-",
    ]


def _hours(groups: Sequence[Group]) -> list[tuple[str, list[float | None]]]:
    """The columns of cost that any group has a value for."""
    columns: list[tuple[str, list[float | None]]] = [
        ("CPU h", [group.cpu_hours for group in groups]),
        ("GPU h", [group.gpu_hours for group in groups]),
    ]
    return [(name, values) for name, values in columns if any(values)]


def _column(values: list[float | None]) -> list[str]:
    decimals = min(decimals_for([], [value for value in values if value]), 3)
    return ["-" if value is None else show(value, decimals) for value in values]


def _shares(comparison: Comparison) -> list[tuple[str, float]]:
    return [(comparison.names.get(key, key), share) for key, share in comparison.importances.items()]
