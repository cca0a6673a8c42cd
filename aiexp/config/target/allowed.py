"""Which `_target_` a config may name, decided by where it is defined and before anything is imported.

Allowed are classes of aiexp's own rooms, what a file of the built-in conf/ names, the names of `library.py`,
code below the working directory, and packages the user trusts with `--trust` or `AIEXP_TRUST`. Nothing inside
a config can widen this list. A config from a run directory narrows it: see rundir/code/record.py.
"""

import os
import re
import sys
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from aiexp.config.folders import GROUPS, builtin_dirs, shown
from aiexp.config.target.find import NotFoundError, locate, public_names
from aiexp.config.target.library import LIBRARY
from aiexp.config.target.signature import Signature, read
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.errors import ConfigError, SecurityError, nearest
from aiexp.storage.mark import is_run_directory

_NOT_USER_CODE = {"site-packages", "dist-packages", "node_modules", "outputs", "wandb"}
_recorded: frozenset[Path] | None = None  # of a run that goes on: the files that are its own code


def trusted_packages() -> set[str]:
    """Top-level packages the user trusts: `AIEXP_TRUST`, a comma list that `--trust` adds to."""
    return {p for p in os.environ.get("AIEXP_TRUST", "").split(",") if p}


def check_target(target: object, *, where: str, group: str | None = None) -> Signature | None:
    """The signature of an allowed target; None when only importing a trusted package can tell.

    Args:
        target: Value of `_target_`.
        where: Its key and file, for the message.
        group: The group whose node it is, or None for a node further inside.

    Raises:
        ConfigError: it is not a dotted name, or it does not exist in a place that is allowed.
        SecurityError: it is not on the list.
    """
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(
            f"'_target_' is the dotted name of a class, not {target!r}",
            where=where,
            fix="write package.module.Class",
        )
    WORKING_DIRECTORY.enter()
    if target in LIBRARY and group in (None, "model"):
        return _read_library(target, where)
    _check_package(target, where, group)
    try:
        signature = read(target)
    except NotFoundError as error:
        _check_unreadable(target, error, where)
        WORKING_DIRECTORY.admit(target.split(".")[0])
        return None
    refusal = _refusal(signature, group)
    if refusal is not None:
        raise SecurityError(f"'{target}' is refused: {refusal}", where=where, fix=_fix(target, group))
    WORKING_DIRECTORY.admit(target.split(".")[0])
    return signature


def check_object(value: object, target: str) -> None:
    """Checks an imported target once more, by what it says of itself.

    Raises:
        SecurityError: it was defined in a place that is not allowed.
    """
    name = getattr(value, "__module__", None) or ""
    top = name.split(".")[0]
    if target in LIBRARY:
        is_allowed = top == target.split(".")[0]
    elif top == "aiexp":
        is_allowed = target in shipped_targets() or (isinstance(value, type) and room(name) != "")
    else:
        path = getattr(sys.modules.get(name), "__file__", None)
        is_allowed = callable(value) and (
            top in trusted_packages() or (path is not None and is_user_code(Path(path)))
        )
    if not is_allowed:
        raise SecurityError(
            f"'{target}' is refused: it leads to {name}", where=target, fix=_fix(target, None)
        )


@lru_cache(maxsize=1)
def shipped_targets() -> frozenset[str]:
    """Every `_target_` of aiexp that a file of the built-in conf/ names."""
    texts = [o.path.read_text(encoding="utf-8") for g in builtin_dirs().files().values() for o in g.values()]
    return frozenset(
        re.findall(r"^\s*(?:- )?_target_: (aiexp\.[\w.]+)", "\n".join(texts), flags=re.MULTILINE)
    )


def is_user_code(path: Path) -> bool:
    """Whether a file is the user's own code: written here and, of a run that goes on, recorded by it."""
    if _recorded is None:
        return is_written_here(path)
    path = path.resolve()
    # A namespace package has no file of its own: its folder is the user's if one of theirs lies in it.
    is_around = not path.exists() and any(file.is_relative_to(path.parent) for file in _recorded)
    return is_written_here(path) and (path in _recorded or is_around)


@contextmanager
def only_files(files: frozenset[Path]) -> Generator[None]:
    """A body in which no other files are the user's own code: a config from elsewhere may name any."""
    global _recorded
    before, _recorded = _recorded, files
    try:
        yield
    finally:
        _recorded = before


def user_modules(config: object) -> dict[str, Path]:
    """The user's own modules that the `_target_`s of a config lie in, and the packages they begin with."""
    WORKING_DIRECTORY.enter()
    found: dict[str, Path] = {}
    for target in targets_in(config):
        with suppress(NotFoundError):
            module = read(target, skip_packages=target in LIBRARY).module
            top = locate(target.split(".")[0])
            found |= {top.name: top.path, module.name: module.path}
    return {
        name: path
        for name, path in found.items()
        if name.split(".")[0] != "aiexp" and path.is_file() and is_written_here(path)
    }


def targets_in(config: object) -> set[str]:
    """Every `_target_` of a plain config."""
    if isinstance(config, list):
        return {t for value in cast(list[Any], config) for t in targets_in(value)}
    if not isinstance(config, dict):
        return set()
    node = cast(dict[str, Any], config)
    own = {node["_target_"]} if isinstance(node.get("_target_"), str) else set[str]()
    return own.union(*(targets_in(value) for value in node.values()))


def is_written_here(path: Path) -> bool:
    """Whether a file lies below the working directory and was written there, not installed or produced."""
    here, path = WORKING_DIRECTORY.folder.resolve(), path.resolve()
    if (
        here == Path(here.anchor)
        or not path.is_relative_to(here)
        or any(path.is_relative_to(d) for d in _stdlib())
    ):
        return False
    parts = path.relative_to(here).parts[:-1]
    return not any(p in _NOT_USER_CODE or p.startswith(".") for p in parts) and not _is_in_run(path)


def _is_in_run(path: Path) -> bool:
    """Whether a file below the working directory lies in a run directory, which may be someone else's."""
    here, path = WORKING_DIRECTORY.folder.resolve(), path.resolve()
    return any(is_run_directory(folder) for folder in path.parents if folder.is_relative_to(here))


@lru_cache(maxsize=1)
def _stdlib() -> list[Path]:
    """Folders of the standard library."""
    return [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]


def room(name: object) -> str:
    """The group that a module of aiexp or something in it belongs to: "task" for aiexp.task.text; else ""."""
    parts = str(name).split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "aiexp" and parts[1] in GROUPS else ""


def _refusal(signature: Signature, group: str | None) -> str | None:
    """Why a definition is not allowed, or None."""
    module = signature.module
    top = module.name.split(".")[0]
    if top == "aiexp":
        own = room(module.name)
        if group in GROUPS and own != group:
            return f"{signature.name} belongs to {module.name}, not to aiexp.{group}"
        if signature.target in shipped_targets() or (own and signature.is_class):
            return None
        return f"{module.name}.{signature.name} is no class of {_rooms(None)}"
    if top in trusted_packages() or is_user_code(module.path):
        return None
    return f"it is defined in {shown(module.path)}{_in_a_run(module.path)}"


def _in_a_run(path: Path) -> str:
    """What to add about a file in a run directory, or one that the run which goes on did not record."""
    if _is_in_run(path):
        return ", inside a run directory, whose code is never run"
    is_unknown = _recorded is not None and is_written_here(path)
    return ", which this run has not recorded as your own code" if is_unknown else ""


def _rooms(group: str | None) -> str:
    return f"aiexp.{group}" if group in GROUPS else " ".join(f"aiexp.{g}" for g in GROUPS)


def _fix(target: str, group: str | None) -> str:
    """What the user can do about a refused target."""
    if _recorded is not None:
        return f"go on where you began the run; if you know this code, add --trust {target.split('.')[0]}"
    likely = nearest(target, LIBRARY).strip()
    if likely:
        return likely
    allowed = f"classes of {_rooms(group)}, code below this folder, names in aiexp/config/target/library.py"
    return f"allowed are {allowed}; for an installed package you trust add --trust {target.split('.')[0]}"


def _read_library(target: str, where: str) -> Signature:
    """The signature of a name of `library.py`."""
    try:
        return read(target, skip_packages=True)
    except NotFoundError as error:
        extra = f"install a newer {'torchvision' if target.startswith('torchvision') else 'torch'}"
        raise ConfigError(f"'{target}' is not installed: {error}", where=where, fix=extra) from error


def _check_package(target: str, where: str, group: str | None) -> None:
    """Refuses a target of a package that cannot hold allowed code, without looking into its files."""
    top = target.split(".")[0]
    if top in trusted_packages():
        return
    try:
        module = locate(top)
    except NotFoundError as error:
        if error.part:
            what = f"'{target}' does not exist: {error}"
            fix = "check the name, or install it" if _recorded is None else _fix(target, group)
            raise ConfigError(what, where=where, fix=fix) from error
        raise SecurityError(
            f"'{target}' is refused: {error}", where=where, fix=_fix(target, group)
        ) from error
    if top != "aiexp" and not is_user_code(module.path):
        _check_misspelled(target, where)
        what = f"'{target}' is refused: it belongs to {shown(module.path)}{_in_a_run(module.path)}"
        raise SecurityError(what, where=where, fix=_fix(target, group))


def _check_misspelled(target: str, where: str) -> None:
    """Raises the error for a slip: a name that a module of the library does not have, nearly one it has."""
    module = target.rpartition(".")[0]
    likely = nearest(target, [name for name in LIBRARY if name.rpartition(".")[0] == module])
    if likely and _recorded is None:
        try:
            read(target, skip_packages=True)
        except NotFoundError as error:
            raise ConfigError(f"'{target}' does not exist.{likely}", where=where) from error


def _check_unreadable(target: str, error: NotFoundError, where: str) -> None:
    """Raises what a target without readable definition deserves; returns for a trusted package."""
    top = target.split(".")[0]
    module, missing = error.module, error.part
    owner = module.name.split(".")[0] if module else ""
    if top in trusted_packages() and (owner == top or missing == top):
        return
    if module is None or (owner != "aiexp" and not is_user_code(module.path)):
        what = f"'{target}' is refused: it is not on the list"
        raise SecurityError(what, where=where, fix=_fix(target, None)) from error
    hint = nearest(missing, public_names(module)) if missing else ""
    what = f"'{target}' does not exist: {error}.{hint}"
    raise ConfigError(what, where=where, fix="name a class or function") from error
