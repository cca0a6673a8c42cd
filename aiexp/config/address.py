"""The keys of a config in the errors of its components, which know their arguments but not their address."""

import re
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from aiexp.errors import AiexpError

_ARGUMENT = re.compile(r"(?<![\w.\[])[A-Za-z_][\w.]*(?==)")


def add_address(error: AiexpError, node: Mapping[str, Any], key: str, given: Collection[str] = ()) -> None:
    """Puts keys for the arguments that an error names in `where`, and in `fix` before a "=".

    "crop" is an argument of the node itself, "Augmentation.crop" one of the node of that class inside it.

    Args:
        error: Changed in place.
        node: Of the component that raised it, or around that.
        key: Of the node.
        given: Arguments that are groups of their own.
    """

    def address(name: str) -> str:
        first, _, rest = name.partition(".")
        if first in given or name.startswith(f"{key}."):
            return name
        if first in node:
            return f"{key}.{name}" if key else name
        inner = _key_of(first, node, key) if rest else None
        return name if inner is None else f"{inner}.{rest}"

    for one in getattr(error, "errors", [error]):
        name, equals, value = one.where.partition("=")
        one.where = address(name) + equals + value
        one.fix = _ARGUMENT.sub(lambda match: address(match[0]), one.fix)


@contextmanager
def addresses(config: Mapping[str, Any]) -> Generator[None]:
    """Puts keys for what errors name "Class.argument": those raised when the whole config has been built."""
    try:
        yield
    except AiexpError as e:
        add_address(e, config, "")
        raise


def _key_of(name: str, node: Any, key: str) -> str | None:
    """The key of the node that makes a class of this name; None where there is none."""
    if isinstance(node, list):
        inner = {f"{key}[{i}]": value for i, value in enumerate(cast(list[Any], node))}
    elif isinstance(node, Mapping):
        mapping = cast(Mapping[str, Any], node)
        if str(mapping.get("_target_")).rpartition(".")[2] == name:
            return key
        inner = {f"{key}.{k}" if key else k: value for k, value in mapping.items()}
    else:
        return None
    return next((found for k, value in inner.items() if (found := _key_of(name, value, k))), None)
