"""What the YAML files say of their keys: the comments behind values, for a config that has none itself."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from aiexp.config.folders import PRIMARY, ConfDirs, Option
from aiexp.storage.reader import LOADER

_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_][\w-]*):(?P<rest>.*)")
_COMMENT = re.compile(r"(?:^|\s)#\s*(?P<text>.*)$")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_DEEPEST = 8  # files that build on each other


def comments_for(choices: Mapping[str, str], dirs: ConfDirs) -> dict[str, str]:
    """Dotted key to comment, of the files that a config was made from, as far as they are still there.

    Args:
        choices: The option chosen for each group.
        dirs: Where the options are.
    """
    files = dirs.files()
    found = _read(dirs.builtin / f"{PRIMARY}.yaml")
    for group, name in choices.items():
        option = files.get(group, {}).get(name)
        if option is not None:
            found |= {f"{group}.{key}": text for key, text in _with_bases(option, files[group]).items()}
    return found


def with_comments(text: str, comments: Mapping[str, str]) -> str:
    """A config as YAML, with the comments behind its lines."""
    lines = text.splitlines()
    known = {number: comments[key] for number, key in _keys(lines) if key in comments}
    width = min(max((len(lines[number]) for number in known), default=0), 44)
    return "\n".join(
        f"{line.ljust(width)}  # {known[number]}" if number in known else line
        for number, line in enumerate(lines)
    )


def _with_bases(option: Option, others: Mapping[str, Option], depth: int = 0) -> dict[str, str]:
    """The comments of an option, over those of the options of its group that it builds on."""
    found: dict[str, str] = {}
    for base in _bases(option.path):
        if base in others and base != option.name and depth < _DEEPEST:
            found |= _with_bases(others[base], others, depth + 1)
    return found | _read(option.path)


def _bases(path: Path) -> list[str]:
    """Options of the same group that a file's `defaults` names."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506  a safe loader
    except (OSError, ValueError, yaml.YAMLError):
        return []
    defaults = content.get("defaults", []) if isinstance(content, dict) else []
    return [name for name in defaults if isinstance(name, str) and name != "_self_"]


def _read(path: Path) -> dict[str, str]:
    """Dotted key to the comment behind it, of one file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    found: dict[str, str] = {}
    for number, key in _keys(lines):
        comment = _COMMENT.search(_QUOTED.sub(lambda m: "'" * len(m[0]), lines[number]))
        if comment:
            found[key] = lines[number][comment.start("text") :].strip()
    return found


def _keys(lines: list[str]) -> list[tuple[int, str]]:
    """The lines of a YAML text in block style that begin with a key: their numbers and dotted keys."""
    found: list[tuple[int, str]] = []
    parents: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        parents = [parent for parent in parents if parent[0] < indent] + [(indent, match["key"])]
        found.append((number, ".".join(key for _, key in parents)))
    return found
