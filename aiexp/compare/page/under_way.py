"""Where runs stand in the page: their order, and the group of each, also of those without a result yet."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiexp.compare.comparison import Comparison
from aiexp.compare.varying import cell, show_value, value_of
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import UNDER_WAY, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Runs in order.

    Args:
        runs: Those of a group first, the best group's before all.
        groups: The group of each, by its number: those of the comparison, behind them `new_groups`.
        new_groups: Label and values of groups that have no result yet.
    """

    runs: list[RunRecord]
    groups: list[int | None]
    new_groups: list[tuple[str, list[Any]]]


def places_of(comparison: Comparison, records: Sequence[RunRecord], states: Mapping[Path, State]) -> Places:
    """The places of runs; one that is under way stands with those that it will be compared with.

    Args:
        comparison: Its groups.
        records: Every run.
        states: Their real states, by path.
    """
    columns = comparison.columns
    group_of = {record.path: i for i, group in enumerate(comparison.groups) for record in group.records}
    known: dict[tuple[Hashable, ...], int] = {
        cell(group.records[0], columns): i for i, group in enumerate(comparison.groups)
    }
    new_groups: list[tuple[str, list[Any]]] = []
    for record in records:
        if record.path in group_of or states[record.path] not in UNDER_WAY or not record.config:
            continue
        place = known.setdefault(cell(record, columns), len(comparison.groups) + len(new_groups))
        if place == len(comparison.groups) + len(new_groups):
            values = [value_of(record, key) for key in columns]
            words = [
                f"{comparison.names.get(key, key)}={show_value(value)}"
                for key, value in zip(columns, values, strict=True)
            ]
            new_groups.append((" ".join(words) or "all runs", values))
        group_of[record.path] = place
    last = len(comparison.groups) + len(new_groups)
    runs = sorted(records, key=lambda record: (group_of.get(record.path, last), record.name))
    return Places(runs=runs, groups=[group_of.get(run.path) for run in runs], new_groups=new_groups)
