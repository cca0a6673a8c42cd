"""`optimizer=sgd` and `schedule=step`: groups whose option takes the place of a task's or trainer's block.

What the block says and the new class takes too stays as it was (weight decay, warm-up). The learning rate
stays where both are of Adam's kind or neither is: what is right for one kind is wrong for the other.
"""

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf, open_dict

from aiexp.config.target.find import NotFoundError
from aiexp.config.target.signature import read
from aiexp.errors import TYPED, ConfigError

BLOCK_GROUPS = {
    "optimizer": ("task.optimizer", "task.optimizers"),
    "schedule": ("trainer.schedule",),
    "average": ("trainer.selection.average",),
}
TARGET, RATE, OF_ADAM = "_target_", "lr", "betas"


def place(full: DictConfig) -> None:
    """Puts the chosen options of these groups where they belong, in place.

    Args:
        full: Composed, before single keys are set.

    Raises:
        ConfigError: the task has no such block.
    """
    for group, keys in BLOCK_GROUPS.items():
        with open_dict(full):
            chosen = full.pop(group, None)
        if chosen is None:
            continue
        found = [key for name in keys for key in _blocks(full, name)]
        if not found:
            option = full.hydra.runtime.choices.get(group)
            raise ConfigError(
                f"this task has no {keys[0]} that {group}={option} could replace",
                where=f"{TYPED}{group}={option}", fix="leave it out, or set the task's own keys",
            )  # fmt: skip
        for key in found:
            old = OmegaConf.select(full, key, throw_on_missing=False)
            OmegaConf.update(full, key, replaced(_plain(old), _plain(chosen)), merge=False)


def check_block(key: str, value: object, typed: str) -> None:
    """Raises the error for a name as the value of such a block: `task.optimizer=sgd`.

    Args:
        key: Dotted.
        value: What it is set to.
        typed: The whole word.
    """
    group = next((group for group, keys in BLOCK_GROUPS.items() if key in keys), None)
    if group is not None and isinstance(value, str):
        raise ConfigError(
            f"'{key}' is a block, not a name", where=f"{TYPED}{typed}", fix=f"type {group}={value}"
        )


def replaced(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new block with what stays of the old one.

    Args:
        old: With `_target_`; empty where none was given.
        new: Likewise.
    """
    taken = _parameters(new.get(TARGET))
    kept = {name: value for name, value in old.items() if name in taken and name not in new}
    is_alike = RATE in old and RATE in new and (OF_ADAM in taken) == (OF_ADAM in _parameters(old.get(TARGET)))
    return new | kept | ({RATE: old[RATE]} if is_alike else {})


def _blocks(full: DictConfig, key: str) -> list[str]:
    """The key of a block; of a block of blocks the keys of these."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(full, parent)
    if not isinstance(node, DictConfig) or name not in node:
        return []
    if OmegaConf.is_missing(node, name) or TARGET in (node[name] or {}):
        return [key]
    return [f"{key}.{inner}" for inner in node[name] or {}]


def _plain(node: Any) -> dict[str, Any]:
    """The values of a node, references as they stand."""
    return cast(dict[str, Any], OmegaConf.to_container(node)) if isinstance(node, DictConfig) else {}


def _parameters(target: Any) -> frozenset[str]:
    """What the class of a block takes."""
    try:
        found = read(target).parameters if isinstance(target, str) else None
    except NotFoundError:
        return frozenset()
    return frozenset(found or ())
