"""Which parts of a config may change when a run is resumed, and which would make it another run."""

from functools import lru_cache
from typing import Any

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


def check_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The changes between two configs, one line each, all of them allowed.

    Raises:
        ConfigError: a fixed key has changed; the message holds every such change.
    """
    before, after = flatten(old), flatten(new)
    changed = [k for k in {**before, **after} if differ(before.get(k, "nothing"), after.get(k, "nothing"))]
    fixed = [k for k in changed if not is_below(k, FREE)]
    if fixed:
        raise ConfigError(
            "; ".join(show(k, before, after) for k in fixed) + ": cannot change when resuming",
            where="config.yaml",
            fix="start a new run; free to change are " + ", ".join(FREE),
        )
    notes = {True: " (the result will differ from an uninterrupted run)", False: ""}
    return [show(k, before, after) + notes[is_below(k, INEXACT)] for k in changed]


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


def flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat
