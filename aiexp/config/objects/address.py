"""The keys of a config in the errors of its components, which know their arguments but not their address."""

import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from aiexp.errors import AiexpError

_ARGUMENT = re.compile(r"(?<![\w.\[])[A-Za-z_][\w.]*(?==)")


def add_address(error: AiexpError, node: Mapping[str, Any], key: str, given: Collection[str] = ()) -> None:
    """Puts keys for the arguments that an error names in `where`, and in `fix` before a "=".

    "crop" is an argument of the node itself, "Augmentation.crop" one of its only node of that class.

    Args:
        error: Changed in place.
        node: Of the component that raised it, or around that.
        key: Of the node.
        given: Arguments that are groups of their own.
    """

    def address(name: str) -> str:
        first, _, rest = name.partition(".")
        if first in given or f"{name}.".startswith(f"{key}."):
            return name
        if first in node:
            return f"{key}.{name}" if key else name
        keys = _keys_of(first, node, key) if rest else []
        return f"{keys[0]}.{rest}" if len(keys) == 1 else name

    for one in getattr(error, "errors", [error]):
        name, equals, value = one.where.partition("=")
        one.where = address(name) + equals + value
        one.fix = _ARGUMENT.sub(lambda match: address(match[0]), one.fix)


@contextmanager
def addresses(config: Mapping[str, Any]) -> Generator[None]:
    """Puts keys for what errors name "Class.argument": those raised when the whole config has been built."""
    try:
        yield
    except AiexpError as error:
        add_address(error, config, "")
        raise


def _keys_of(name: str, node: Any, key: str) -> list[str]:
    """The keys of the nodes that make a class of this name."""
    if isinstance(node, list):
        inner = {f"{key}[{i}]": value for i, value in enumerate(cast(list[Any], node))}
    elif isinstance(node, Mapping):
        mapping = cast(Mapping[str, Any], node)
        if str(mapping.get("_target_")).rpartition(".")[2] == name:
            return [key]
        inner = {f"{key}.{k}" if key else k: value for k, value in mapping.items()}
    else:
        return []
    return [found for k, value in inner.items() for found in _keys_of(name, value, k)]
