"""Where a key of a composed config was written: on the command line, or in which YAML file."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import yaml

from aiexp.config.folders import PRIMARY, ConfDirs, Option, shown
from aiexp.config.group.several import listed
from aiexp.storage.reader import LOADER


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Finds where keys come from.

    Args:
        overrides: As typed.
        choices: Group to option.
        dirs: The folders searched.
    """

    overrides: list[str]
    choices: dict[str, str]
    dirs: ConfDirs

    @cached_property
    def _options(self) -> dict[str, dict[str, Option]]:
        return self.dirs.files()

    def where(self, key: str) -> str:
        """`command line: task.lr=abc`, or `conf/task/mine.yaml: task.lr`."""
        typed = self._typed(key)
        if typed is not None:
            return f"command line: {typed}"
        path = self.file(key)
        return f"{shown(path)}: {key}" if path else key

    def _typed(self, key: str) -> str | None:
        """The last override of this key or of a key around it."""
        for text in reversed(self.overrides):
            name = text.lstrip("+~").split("=", 1)[0]
            # Choosing an option is not writing what its file says; leaving a group out is.
            is_choice = name.split("@")[0] in self.choices and not text.startswith("~")
            if not is_choice and (name == key or key.startswith((f"{name}.", f"{name}["))):
                return text
        return None

    def chain(self, group: str) -> list[Path]:
        """The file of a group's chosen option and those that it builds on, the one that wins first."""
        options = self._options
        chosen = _option(options, group, self.choices.get(group, ""))
        return list(_bases(chosen, options, {})) if chosen else []

    def file(self, key: str) -> Path | None:
        """The file whose line won: the chosen options first, the last merged of them first."""
        options = self._options
        group, _, inside = key.partition(".")
        group = group.split("[")[0]
        block, _, rest = inside.partition(".")
        if block in listed(self.choices.get(group, "")) and (option := _option(options, group, block)):
            return _written_in(option, rest, options, set()) or option.path
        own = [
            o
            for g, name in self.choices.items()
            if g.split("/")[0] == group and (o := _option(options, g, name))
        ]
        others = [o for g, name in self.choices.items() if (o := _option(options, g, name)) and o not in own]
        for option in own:
            path = _written_in(option, key.removeprefix(group).removeprefix("."), options, set())
            if path is not None:
                return path
        for option in reversed(others):
            if _is_global(option.path) and _has(_load(option.path), key):
                return option.path
        if own:
            return own[0].path
        primary = (d / f"{PRIMARY}.yaml" for d in self.dirs.ordered())
        return next((p for p in primary if p.is_file() and _has(_load(p), key)), None)


def _option(options: dict[str, dict[str, Option]], group: str, name: str) -> Option | None:
    return options.get(group.split("@")[0], {}).get(name)


def _written_in(
    option: Option, key: str, options: dict[str, dict[str, Option]], seen: set[Path]
) -> Path | None:
    """The file among an option and those in its defaults list that writes `key`."""
    if option.path in seen:
        return None
    seen.add(option.path)
    content = _load(option.path)
    if key and _has(content, key):
        return option.path
    entries = content.get("defaults")
    for entry in reversed(cast(list[Any], entries) if isinstance(entries, list) else []):
        base = options.get(option.group, {}).get(str(entry))
        found = _written_in(base, key, options, seen) if base else None
        if found is not None:
            return found
    return None


def _bases(option: Option, options: dict[str, dict[str, Option]], seen: dict[Path, None]) -> Iterable[Path]:
    """The file of an option and those in its defaults list, each once, the last named first."""
    if option.path in seen:
        return seen
    seen[option.path] = None
    entries = _load(option.path).get("defaults")
    for entry in reversed(cast(list[Any], entries) if isinstance(entries, list) else []):
        if base := options.get(option.group, {}).get(str(entry)):
            _bases(base, options, seen)
    return seen


def _load(path: Path) -> dict[str, Any]:
    """The content of a YAML file; empty when it is not a mapping or not readable."""
    try:
        return _parse(path, path.stat().st_mtime_ns)
    except (yaml.YAMLError, OSError):
        return {}


@lru_cache
def _parse(path: Path, changed: int) -> dict[str, Any]:
    """The content of a file as it was when it was last changed."""
    content = yaml.load(path.read_bytes(), Loader=LOADER)  # noqa: S506  a safe loader
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _has(content: dict[str, Any], key: str) -> bool:
    """Whether a dotted key, list indices cut off, is in the content."""
    node: Any = content
    for part in key.split("[")[0].split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = cast(dict[str, Any], node)[part]
    return True


def _is_global(path: Path) -> bool:
    """Whether a file writes at the top level (`# @package _global_`)."""
    return "@package _global_" in path.read_text(encoding="utf-8", errors="replace")[:2000]
