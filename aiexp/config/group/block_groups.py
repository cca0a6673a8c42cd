"""`optimizer=sgd` and `schedule=step`: groups whose option takes the place of a task's or trainer's block.

Their keys can be typed by the name of the group: `peft=lora peft.rank=4` is `task.peft.rank=4`.

What the block says and the new class takes too stays as it was (weight decay, warm-up). The learning rate
stays where both are of Adam's kind or neither is: what is right for one kind is wrong for the other.
"""

import re
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf, open_dict

from aiexp.config.target.find import NotFoundError
from aiexp.config.target.signature import read
from aiexp.errors import TYPED, ConfigError

BLOCK_GROUPS = {
    "optimizer": ("task.optimizer", "task.optimizers"),
    "peft": ("task.peft",),
    "schedule": ("trainer.schedule",),
    "average": ("trainer.selection.average",),
}
_KEY = re.compile(rf"(?P<sign>[+~]{{0,2}})(?P<group>{'|'.join(BLOCK_GROUPS)})\.(?P<rest>.+)", re.DOTALL)
TARGET, RATE, OF_ADAM = "_target_", "lr", "betas"


def addressed(override: str) -> str:
    """An override of a key of such a group as one of the block that it stands for; any other as it is."""
    found = _KEY.fullmatch(override)
    return f"{found['sign']}{BLOCK_GROUPS[found['group']][0]}.{found['rest']}" if found else override


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
        if not chosen:  # an option without content, which stands for none
            for key in found:
                OmegaConf.update(full, key, None)
            continue
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
    if OmegaConf.is_missing(node, name) or node[name] is None or TARGET in node[name]:
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
