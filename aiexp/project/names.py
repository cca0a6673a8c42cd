"""What a project, a task, a model or a data set may be called."""

import keyword
import re
from importlib.util import find_spec

from aiexp.config.folders import builtin_dirs
from aiexp.errors import ConfigError

# Folders that a project has anyway.
_TAKEN = ("conf", "tests", "test", "outputs", "wandb", "docs", "aiexp")
_FORM = re.compile(r"[a-z][a-z0-9_]*")
LONGEST = 60


def check_name(name: str, where: str) -> None:
    """Raises `ConfigError` unless a name can be that of a Python module, of a YAML file and of a folder."""
    if not _FORM.fullmatch(name) or len(name) > LONGEST:
        made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST]
        made = f"my_{made}" if made and not made[0].isalpha() else made
        raise ConfigError(
            f"'{name}' cannot be a name here", where=where,
            fix="lower-case letters, digits and _, a letter first" + (f": {made}" if made else ""),
        )  # fmt: skip
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigError(f"'{name}' is a word of Python", where=where, fix=f"my_{name}")


def check_package(name: str, where: str) -> None:
    """Raises `ConfigError` if a package of this name would hide another one, or a folder of the project."""
    if name in _TAKEN:
        raise ConfigError(f"'{name}' is a folder that a project has anyway", where=where, fix=f"my_{name}")
    try:
        there = find_spec(name)
    except (ValueError, ImportError):
        there = None
    if there is not None and there.origin is not None:
        raise ConfigError(
            f"there is a Python package '{name}' already, which yours would hide",
            where=where,
            fix=f"my_{name}",
        )


def check_option(group: str, name: str, where: str) -> None:
    """Raises `ConfigError` if aiexp has an option of this name: a file of one's own would replace it."""
    if name in builtin_dirs().files().get(group, {}):
        raise ConfigError(
            f"aiexp has a {group} '{name}' of its own, which yours would replace",
            where=where,
            fix=f"my_{name}",
        )


def class_name(name: str) -> str:
    """`my_task` as `MyTask`."""
    return "".join(part.capitalize() for part in name.split("_"))
