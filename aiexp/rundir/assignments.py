"""KEY=VALUE typed for a run that is there: which words are such, and its config with them made."""

import copy
import os
from typing import Any, cast

import yaml
from omegaconf._utils import get_yaml_loader

from aiexp.errors import ConfigError, nearest, reason_of
from aiexp.rundir.changes import flatten


def is_path(word: str) -> bool:
    """Whether a word names a run and is no KEY=VALUE: names of run directories hold `=` too."""
    key, equals, _ = word.partition("=")
    return not equals or os.sep in key or os.path.isdir(word)


def apply_overrides(config: dict[str, Any], overrides: list[str], where: str) -> dict[str, Any]:
    """`config` with `key=value` assignments made; only keys that exist can be assigned.

    Args:
        config: Resolved.
        overrides: As typed.
        where: The command, for messages.

    Raises:
        ConfigError: not an assignment, or no such key.
    """
    config = copy.deepcopy(config)
    known = flatten(config)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"'{override}' is not KEY=VALUE", where=where)
        if key not in known:
            raise ConfigError(f"unknown key '{key}'.{nearest(key, known)}", where=where)
        assign(config, key, _read_value(value, where))
    return config


def _read_value(text: str, where: str) -> Any:
    """What the text of a value stands for, read as a config file is (so that 1e-4 is a number).

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=get_yaml_loader())  # noqa: S506  a safe loader with YAML 1.2 numbers
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"'{text[:100]}' cannot be read: {reason_of(error)}", where=where) from error


def assign(node: dict[Any, Any], key: str, value: Any) -> bool:
    """Gives a dotted key, as `flatten` names it, another value; false if it is not there.

    YAML has keys that are numbers or hold dots, so the key cannot simply be taken apart.
    """
    for name, inner in node.items():
        if str(name) == key:
            node[name] = value
            return True
        rest = key.removeprefix(f"{name}.")
        if rest != key and isinstance(inner, dict) and assign(cast(dict[Any, Any], inner), rest, value):
            return True
    return False
