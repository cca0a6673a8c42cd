"""Runs sorted into groups: which count, which key tells them apart, which repeat each other."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from math import isfinite

from aiexp.compare.metric import Metric
from aiexp.compare.varying import NOISE, cell, find_key, find_varying, short_names, show_value, value_of
from aiexp.config.folders import shown
from aiexp.errors import CheckpointError, DataError
from aiexp.rundir.changes import is_below
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The runs of one group.

    Args:
        label: What tells it from the others.
        runs: Runs with a usable score, by what two runs of different groups must share to be a pair.
        lost: Its other runs.
    """

    label: str
    runs: dict[Hashable, RunRecord] = field(default_factory=lambda: {})
    lost: list[RunRecord] = field(default_factory=lambda: [])


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """All groups, and what was found on the way.

    Args:
        columns: The keys that tell the groups apart.
        names: Short name of each.
        differing: All keys that differ.
        bundles: At least one, none without runs.
        notes: For the user.
    """

    columns: list[str]
    names: dict[str, str]
    differing: list[str]
    bundles: list[Bundle]
    notes: list[str]


def finished(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that reached their end.

    Raises:
        DataError: none has.
    """
    done = [record for record in records if record.state == State.FINISHED]
    damaged = [record for record in records if record.state == State.DAMAGED]
    if damaged and len(damaged) == len(records):
        what = f"none of the {len(records)} runs can be read; {damaged[0].problem}"
        raise CheckpointError(what, where=shown(damaged[0].path), fix="aiexp doctor RUN says what is wrong")
    if not done:
        raise DataError(
            f"none of the {len(records)} runs is finished ({count_states(records)})",
            fix="aiexp resume RUN continues one",
        )
    return done


def count_states(records: Sequence[RunRecord]) -> str:
    """`2 failed, 1 running`."""
    counts = sorted(Counter(r.state for r in records).items(), key=lambda count: (-count[1], count[0]))
    return ", ".join(f"{n} {state}" for state, n in counts)


def group_runs(records: Sequence[RunRecord], metric: Metric, by: str | None) -> Grouped:
    """Sorts all runs, also those that did not finish, into groups of equal configs or of equal `by`.

    Args:
        records: At least one finished.
        metric: What they are compared by.
        by: A key as typed, or None.

    Raises:
        ConfigError: no such key.
        DataError: no run has a usable score.
    """
    readable = [record for record in records if record.state != State.DAMAGED]
    varying = find_varying(finished(readable))
    columns = varying.keys if by is None else [find_key(by, readable, varying.keys)]
    others = [key for key in varying.keys if key not in columns]
    bundles, repeated = _bundles(readable, columns, others, metric)
    full = [bundle for bundle in bundles if bundle.runs]
    if not full:
        raise DataError(
            f"'{metric.name}' is not a number in any finished run", fix="--metric NAME chooses another"
        )
    return Grouped(
        columns=columns,
        names=short_names(columns),
        differing=varying.keys,
        bundles=full,
        notes=[
            *_mixed(full, columns, others),
            *_noise(full, varying.noise, columns),
            *_repeated(repeated),
            *_lost(bundles, metric),
        ],
    )


def _bundles(
    records: list[RunRecord], columns: list[str], others: list[str], metric: Metric
) -> tuple[list[Bundle], list[RunRecord]]:
    """The groups, and the runs that a newer one repeats."""
    names = short_names(columns)
    bundles: dict[tuple[Hashable, ...], Bundle] = {}
    repeated: list[RunRecord] = []
    for record in sorted(records, key=lambda r: (r.started or "", r.name)):
        label = " ".join(f"{names[key]}={show_value(value_of(record, key))}" for key in columns)
        bundle = bundles.setdefault(cell(record, columns), Bundle(label=label or "all runs"))
        if not isfinite(record.metrics.get(metric.name, float("nan"))) or record.state != State.FINISHED:
            bundle.lost.append(record)
            continue
        key = (*cell(record, others), record.seed)
        if (older := bundle.runs.pop(key, None)) is not None:
            bundle.runs[*key, older.code] = older  # of other code it counts, but is nobody's pair
        if (older := bundle.runs.pop((*key, record.code), None)) is not None:
            repeated.append(older)
        bundle.runs[key] = record  # the newest stays
    return [*bundles.values(), _set_apart(list(bundles.values()), has_others=bool(others))], repeated


def _set_apart(bundles: list[Bundle], *, has_others: bool) -> Bundle:
    """Takes the runs that cannot be a group's lost seeds, being of other configs, out of the groups.

    Args:
        bundles: The groups.
        has_others: Whether groups mix configs; then only other tasks are strangers.
    """

    def recipe(record: RunRecord) -> Hashable:
        if has_others:
            return record.task
        return frozenset(
            (key, repr(value))
            for key, value in (*record.choices.items(), *record.config.items())
            if not is_below(key, (*NOISE, "hardware")) and not (key.endswith("seed") and value == record.seed)
        )

    strangers = Bundle(label="other configs")
    for bundle in [bundle for bundle in bundles if bundle.lost]:
        known = {recipe(run) for run in bundle.runs.values()}
        for run in [run for run in bundle.lost if known and recipe(run) not in known]:
            bundle.lost.remove(run)
            strangers.lost.append(run)
    return strangers


def _mixed(bundles: list[Bundle], columns: list[str], others: list[str]) -> list[str]:
    """The keys that differ inside a group."""
    mixed = [
        key for key in others if any(len({cell(r, [key]) for r in b.runs.values()}) > 1 for b in bundles)
    ]
    if not mixed:
        return []
    return [f"runs with equal {', '.join(columns)} differ in {listed(mixed)}: each group mixes these"]


def _noise(bundles: list[Bundle], noise: list[str], columns: list[str]) -> list[str]:
    """Keys without influence on results that differ, where times are compared; and different machines."""
    runs = [run for bundle in bundles for run in bundle.runs.values()]
    keys = [key for key in noise if key.startswith("hardware.") and key not in columns]
    precisions = sorted({str(r.hardware["precision"]) for r in runs if "precision" in r.hardware})
    devices = sorted({str(r.hardware["device_name"]) for r in runs if "device_name" in r.hardware})
    notes = [f"times are of different {listed(keys)}"] if keys else []
    if len(precisions) > 1:
        notes.append(f"precisions differ: {', '.join(precisions)}")
    if len(devices) > 1:
        notes.append(f"times are of different machines: {listed(devices)}")
    return notes


def _repeated(repeated: list[RunRecord]) -> list[str]:
    if not repeated:
        return []
    names = listed([record.name for record in repeated])
    return [f"{len(repeated)} left out because a newer run has the same config and seed: {names}"]


def _lost(bundles: list[Bundle], metric: Metric) -> list[str]:
    """What happened to the runs without a score."""
    notes: list[str] = []
    lost = [record for bundle in bundles for record in bundle.lost]
    ended = [record for record in lost if record.state == State.FINISHED]
    if others := [record for record in lost if record.state != State.FINISHED]:
        notes.append(f"{len(others)} left out, not finished: {count_states(others)}")
    if without := [record for record in ended if metric.name not in record.metrics]:
        notes.append(f"{len(without)} left out, without {metric.name}: {listed([r.name for r in without])}")
    if broken := [record for record in ended if metric.name in record.metrics]:
        names = listed([record.name for record in broken])
        notes.append(
            f"{len(broken)} left out, {metric.name} is no finite number: {names}; the means are of the rest"
        )
    return notes


def listed(words: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 5 more`."""
    shown = list(words[:most])
    return ", ".join(shown) + (f" and {len(words) - most} more" if len(words) > most else "")
