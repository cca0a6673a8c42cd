"""Which parts of a config may change when a run is resumed or branches off, and which make it another run."""

from functools import lru_cache
from typing import Any

from aiexp.config.dotted import flatten
from aiexp.errors import ConfigError

# Anything else is fixed: it decides what the steps so far were.
FREE = (
    "outputs",
    "tracker",
    "hardware",
    "dataset.num_workers",
    "trainer.steps",
    "trainer.epochs",
    "trainer.log_every",
    "trainer.evaluate_every",
    "trainer.checkpoint",
    "trainer.selection.patience",
)
INEXACT = ("hardware", "trainer.steps", "trainer.epochs")
# What a branch keeps: its data and its place in them, random numbers, by what a checkpoint is the best.
FIXED = (
    "seed",
    "dataset",
    "start_from",
    "trainer.accumulate",
    "trainer.selection.monitor",
    "trainer.selection.mode",
)
NEUTRAL = ("outputs", "tracker", "dataset.num_workers")  # of no account for what is learned


def check_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The changes between two configs, one line each, all of them allowed when a run is resumed.

    Raises:
        ConfigError: a fixed key has changed; the message holds every such change.
    """
    changed = changed_keys(old, new)
    fixed = [k for k in changed if not is_below(k, FREE)]
    if fixed:
        fix = "aiexp branch RUN KEY=VALUE makes a new run of it; free to change are " + ", ".join(FREE)
        raise _fixed(fixed, old, new, "resuming", fix)
    notes = {True: " (the result will differ from an uninterrupted run)", False: ""}
    return [show(k, flatten(old), flatten(new)) + notes[is_below(k, INEXACT)] for k in changed]


def check_branch(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The same when a run branches off from another one; lines of those that may matter for what it learns.

    Raises:
        ConfigError: a fixed key has changed.
    """
    changed = [k for k in changed_keys(old, new) if not is_below(k, NEUTRAL)]
    fixed = [k for k in changed if is_below(k, FIXED) or k.endswith("._target_")]
    if fixed:
        fix = "start a new run with the weights of this one: aiexp run ... start_from=RUN"
        raise _fixed(fixed, old, new, "branching off", fix)
    return [show(k, flatten(old), flatten(new)) for k in changed]


def changed_keys(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Dotted keys whose values are not the same."""
    before, after = flatten(old), flatten(new)
    return [k for k in {**before, **after} if differ(before.get(k, "nothing"), after.get(k, "nothing"))]


def _fixed(keys: list[str], old: dict[str, Any], new: dict[str, Any], when: str, fix: str) -> ConfigError:
    what = "; ".join(show(k, flatten(old), flatten(new)) for k in keys)
    return ConfigError(f"{what}: cannot change when {when}", where="config.yaml", fix=fix)


def differ(one: Any, other: Any) -> bool:
    """Whether two values are not the same; NaN is the same as NaN."""
    return one != other and repr(one) != repr(other)


@lru_cache(maxsize=4096)  # a comparison asks the same of every run
def is_below(key: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of `prefixes` or inside one."""
    return any(key == p or key.startswith(p + ".") for p in prefixes)


def show(key: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """`trainer.epochs: 3 -> 5`."""
    return f"{key}: {before.get(key, 'nothing')} -> {after.get(key, 'nothing')}"
