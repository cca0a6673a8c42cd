"""KEY=VALUE on top of a recorded config, as `aiexp resume`, `branch` and `evaluate` take it."""

import copy
import os
from typing import Any, cast

import yaml
from omegaconf._utils import get_yaml_loader

from aiexp.config.dotted import flatten
from aiexp.errors import TYPED, ConfigError, nearest, reason_of
from aiexp.text.secrets import MASK


def is_path(word: str) -> bool:
    """Whether a word names a run and is no KEY=VALUE: names of run directories hold `=` too."""
    key, equals, _ = word.partition("=")
    return not equals or os.sep in key or os.path.isdir(word)


def one_path(words: list[str], command: str) -> tuple[str, list[str]]:
    """The one path among the words of a command, and the KEY=VALUE.

    Raises:
        ConfigError: none or several.
    """
    paths = [word for word in words if is_path(word)]
    if len(paths) != 1:
        what = f"{command} takes one run{' or sweep' * (command == 'aiexp resume')}, not {len(paths)}"
        raise ConfigError(what, fix=f"{command} outputs/latest")
    return paths[0], [word for word in words if word not in paths]


def assigned(config: dict[str, Any], overrides: list[str], command: str) -> dict[str, Any]:
    """`config` with `key=value` assignments made; only keys that exist can be assigned.

    Args:
        config: As it was recorded.
        overrides: As typed.
        command: What was typed before them, for messages.

    Raises:
        ConfigError: not an assignment, or no such key.
    """
    config = copy.deepcopy(config)
    known = flatten(config)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"'{override}' is not KEY=VALUE", where=command)
        if key not in known:
            raise ConfigError(
                f"unknown key '{key}'.{nearest(key, known)}", where=f"{TYPED}{override}",
                fix="keys are those of the run's config: aiexp show RUN, config.yaml",
            )  # fmt: skip
        _assign(config, key, _read_value(value, command))
    return config


def refuse_masked(config: dict[str, Any], source: str, command: str) -> None:
    """Raises `ConfigError` for a value that was masked as a secret when it was recorded.

    Args:
        config: With what was typed.
        source: The file that it was recorded in.
        command: To be typed with the value.
    """
    masked = [key for key, value in flatten(config).items() if isinstance(value, str) and MASK in value]
    if masked:
        what = f"'{masked[0]}' was masked as a secret when the run was recorded"
        raise ConfigError(what, where=source, fix=f"give it again: {command} {masked[0]}=VALUE")


def _read_value(text: str, command: str) -> Any:
    """What the text of a value stands for, read as a config file is (so that 1e-4 is a number).

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=get_yaml_loader())  # noqa: S506  a safe loader with YAML 1.2 numbers
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"'{text[:100]}' cannot be read: {reason_of(error)}", where=command) from error


def _assign(node: dict[Any, Any], key: str, value: Any) -> bool:
    """Gives a dotted key, as `flatten` names it, another value; false if it is not there.

    YAML has keys that are numbers or hold dots, so the key cannot simply be taken apart.
    """
    for name, inner in node.items():
        if str(name) == key:
            node[name] = value
            return True
        rest = key.removeprefix(f"{name}.")
        if rest != key and isinstance(inner, dict) and _assign(cast(dict[Any, Any], inner), rest, value):
            return True
    return False
