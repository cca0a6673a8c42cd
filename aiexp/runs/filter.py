"""Which runs are meant: `task=mnist_cnn seed=0,1 state!=finished trainer.steps>=100`."""

import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeGuard, final

import yaml

from aiexp.errors import ConfigError, nearest
from aiexp.rundir.named import named
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import State
from aiexp.storage.reader import LOADER

STATES = tuple(State)
WORD = re.compile(r"(?P<key>[A-Za-z_][\w./@-]*)(?P<sign>!?=|[<>]=?)(?P<value>.*)", re.DOTALL)
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
MISSING = object()
TAG = "tag"  # of notes.json


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """One condition.

    Args:
        key: `state`, `tag` (any of a run's), a group (its option), or a dotted key of the config.
        values: What it may be; one match is enough. `*` and `?` stand for any text.
        sign: `=`; `!=` where it must be none of them instead; `<`, `<=`, `>` or `>=` one number.
    """

    key: str
    values: tuple[str, ...]
    sign: str

    def accepts(self, record: RunRecord, state: str) -> bool:
        """Whether a run in `state` meets the condition."""
        held = record.notes.tags if self.key == TAG else (_value(record, state, self.key),)
        if self.sign in ORDERS:
            return any(_is_number(actual) and ORDERS[self.sign](actual, self.bound) for actual in held)
        is_match = any(
            actual is not MISSING and _matches(actual, value) for actual in held for value in self.values
        )
        return is_match is (self.sign == "=")

    @property
    def bound(self) -> float:
        """The number of an order; NaN where it is none."""
        try:
            (text,) = self.values
            return float(text)
        except ValueError:
            return math.nan

    def __str__(self) -> str:
        return f"{self.key}{self.sign}{','.join(self.values)}"


def split_words(words: Iterable[str]) -> tuple[list[Filter], list[Path]]:
    """The filters and the paths of a command line; what exists is a path, as names of runs hold `=` too."""
    filters: list[Filter] = []
    paths: list[Path] = []
    for word in words:
        found = WORD.fullmatch(word)
        if found is None or os.path.exists(word) or ("/" in word and Path(word).parts[0] in _here()):
            paths.append(named(word))
            continue
        text = found["value"]
        values = (text,) if text.startswith(("[", "{")) else tuple(text.split(","))
        filters.append(Filter(key=found["key"], values=values, sign=found["sign"]))
    return filters, paths


def _here() -> list[str]:
    return [path.name for path in Path().iterdir() if path.is_dir()]


def check_filters(filters: Sequence[Filter], records: Sequence[RunRecord]) -> None:
    """Refuses what no run can meet because it is misspelled.

    Raises:
        ConfigError: no run has such a key, there is no such state, or an order has no number.
    """
    for condition in filters:
        if condition.sign in ORDERS and math.isnan(condition.bound):
            what = f"'{','.join(condition.values)}' is no number"
            fix = f"one number, such as '{condition.key}{condition.sign}20'; = and != take texts"
            raise ConfigError(what, where=str(condition), fix=fix)
        if condition.key == "state":
            for value in condition.values:
                if not any(fnmatchcase(state, value) for state in STATES):
                    what = f"no state '{value}'.{nearest(value, STATES)}"
                    raise ConfigError(what, where=str(condition), fix=f"one of {', '.join(STATES)}")
        elif records and not any(_has(record, condition.key) for record in records):
            known = {key for record in records for key in (*record.choices, *record.config)} | {"state", TAG}
            what = f"no run has the key '{condition.key}'.{nearest(condition.key, sorted(known))}"
            raise ConfigError(
                what, where=str(condition), fix="state, a group such as task, or a key of config.yaml"
            )


def values_of(key: str, records: Iterable[RunRecord], states: Iterable[str]) -> list[str]:
    """What a key is in the runs, as text, each value once."""
    if key == TAG:
        return sorted({tag for record in records for tag in record.notes.tags})
    found = (_value(record, state, key) for record, state in zip(records, states, strict=True))
    return sorted({_text(value) for value in found if value is not MISSING})


def _has(record: RunRecord, key: str) -> bool:
    return key in ("task", TAG) or key in record.choices or key in record.config


def _value(record: RunRecord, state: str, key: str) -> Any:
    if key == "state":
        return state
    if key == "task":
        return record.task
    return record.choices.get(key, record.config.get(key, MISSING))


def _matches(actual: Any, wanted: str) -> bool:
    """Whether a value of a config is what was typed: 1e-3 is 0.001, null is None."""
    if fnmatchcase(_text(actual), wanted):
        return True
    if _is_number(actual):
        try:
            return float(wanted) == actual
        except ValueError:
            return False
    if isinstance(actual, str):
        return False
    try:
        return bool(yaml.load(wanted, Loader=LOADER) == actual)  # noqa: S506  a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A value as YAML shows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
