"""Do a task, its model and its data set fit each other? The annotations of the task's constructor say."""

import inspect
from typing import Any

from aiexp.errors import ConfigError


def check_partners(call: Any, given: dict[str, Any]) -> None:
    """Checks what the runner passes against the protocols that a constructor names for it.

    An argument annotated with anything but a `Protocol` takes what comes.

    Args:
        call: A task's class or another callable that makes one.
        given: Argument name (which is the config group's) to the object built for it.

    Raises:
        ConfigError: an object lacks a member of its protocol.
    """
    for name, parameter in inspect.signature(call, eval_str=True).parameters.items():
        wanted = parameter.annotation
        if name not in given or not getattr(wanted, "_is_protocol", False):
            continue
        value = given[name]
        missing = [member for member in members(wanted) if not hasattr(value, member)]
        if not missing:
            continue
        task = getattr(call, "__name__", str(call))
        has = f"{type(value).__name__} has no {', '.join(missing)}"
        what = f"{task} needs a {name}" if value is None else f"{task} cannot use this {name}: {has}"
        raise ConfigError(
            what, where=name,
            fix=f"leave {name} to the task, or choose one that has {wanted.__name__}'s members",
        )  # fmt: skip


def members(protocol: Any) -> list[str]:
    """Public names that a protocol asks for, in the order written."""
    classes = [c for c in reversed(protocol.__mro__) if getattr(c, "_is_protocol", False)]
    names = [name for c in classes for name in (*inspect.get_annotations(c), *vars(c))]
    return list(dict.fromkeys(name for name in names if not name.startswith("_")))
