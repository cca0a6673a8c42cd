"""Which keys of the configs of several runs differ, and how their values are shown."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from aiexp.config.folders import GROUPS
from aiexp.errors import ConfigError, nearest
from aiexp.rundir.changes import is_below
from aiexp.rundir.record import RunRecord

# What changes where, how fast or how talkatively a run works, but not what it learns.
NOISE = (
    "outputs",
    "tracker",
    "hardware.device",
    "hardware.threads",
    "hardware.compile",
    "hardware.deterministic",
    "dataset.num_workers",
    "trainer.log_every",
    "trainer.checkpoint",
    "task.reference",
)


class _Missing:
    """Stands for a key that a run does not have."""

    def __repr__(self) -> str:
        return "-"


MISSING = _Missing()


@dataclass(frozen=True, kw_only=True)
class Varying:
    """The keys that differ between runs.

    Args:
        keys: Those that matter; what follows from another one's choice is left out.
        noise: Those that do not change what a run learns.
    """

    keys: list[str]
    noise: list[str]


def find_varying(records: Sequence[RunRecord]) -> Varying:
    """The keys whose values are not the same in all runs, apart from the seed.

    A choice of a group (`model=large`) stands for the keys its file sets, unless they were typed.
    """
    typed = {override.lstrip("+~").partition("=")[0] for r in records for override in r.overrides}
    choices: list[str] = []
    for group in dict.fromkeys([*GROUPS, *(g for r in records for g in r.choices)]):
        if is_below(group, NOISE) or group == "hardware" or not _differs(records, group):
            continue
        if group in typed or not _follows(records, choices, group):
            choices.append(group)
    known = dict.fromkeys(key for record in records for key in record.config)
    differing = [key for key in known if _differs(records, key) and not _is_seed(records, key)]
    noise = [key for key in differing if is_below(key, NOISE)]
    matters = [key for key in differing if not is_below(key, NOISE)]
    named = [key for key in matters if key in typed]
    columns = {tuple(_frozen(value_of(r, key)) for r in records) for key in named}
    rest = [
        key
        for key in matters
        if key not in typed
        and not (choices and _follows(records, choices, key))
        and tuple(_frozen(value_of(r, key)) for r in records) not in columns
    ]
    return Varying(keys=[*choices, *(k for k in matters if k in named or k in rest)], noise=noise)


def value_of(record: RunRecord, key: str) -> Any:
    """A key's value, or the option chosen for a group; MISSING where the run has neither."""
    value = record.config.get(key, MISSING)
    return record.choices.get(key, MISSING) if value is MISSING else value


def cell(record: RunRecord, keys: Sequence[str]) -> tuple[Hashable, ...]:
    """The run's values of some keys, to group by."""
    return tuple(_frozen(value_of(record, key)) for key in keys)


def find_key(name: str, records: Sequence[RunRecord], differing: Sequence[str]) -> str:
    """The full name of the key or group that was typed; its last part will do where that is unique.

    Raises:
        ConfigError: there is none, or there are several.
    """
    known = dict.fromkeys(key for r in records for key in (*r.choices, *r.config))
    if name in known:
        return name
    for among in (differing, known):
        fits = [key for key in among if key.endswith(f".{name}")]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise ConfigError(f"'{name}' is {' and '.join(fits)}", where="--by", fix=f"--by {fits[0]}")
    fix = f"those that differ are {', '.join(differing)}" if differing else "all configs are equal"
    raise ConfigError(f"no run has a key '{name}'.{nearest(name, known)}", where="--by", fix=fix)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last parts, as many as tell it from the others: `lr` for `task.optimizer.lr`."""
    names: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        tails = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        names[key] = next((t for t in tails if not any(f".{o}".endswith(f".{t}") for o in others)), key)
    return names


def show_value(value: Any) -> str:
    """A value as it would be typed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ",".join(show_value(item) for item in value) + "]"
    return str(value)


def _differs(records: Sequence[RunRecord], key: str) -> bool:
    first = value_of(records[0], key)
    return any(value_of(record, key) != first for record in records)


def _is_seed(records: Sequence[RunRecord], key: str) -> bool:
    """Whether a key is the run's seed, or follows it (`dataset.seed: ${seed}`)."""
    return key.endswith("seed") and all(r.config.get(key, r.seed) == r.seed for r in records)


def _follows(records: Sequence[RunRecord], choices: Sequence[str], key: str) -> bool:
    """Whether the values of `choices` decide that of `key`, in these runs."""
    seen: dict[tuple[Hashable, ...], Any] = {}
    for record in records:
        value = value_of(record, key)
        if seen.setdefault(cell(record, choices), value) != value:
            return False
    return True


def _frozen(value: Any) -> Hashable:
    return repr(value) if isinstance(value, list | dict) else value
