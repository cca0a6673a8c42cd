"""The comments of the YAML files beside the lines of a config that was resolved long ago."""

import re
from collections.abc import Mapping

from aiexp.config.described.annotated import comments_in
from aiexp.config.described.header import chain
from aiexp.config.folders import PRIMARY, ConfDirs
from aiexp.config.group.block_groups import BLOCK_GROUPS
from aiexp.config.group.several import listed

_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_][\w-]*):")
_WIDEST = 44  # columns in front of a comment


def comments_for(choices: Mapping[str, str], dirs: ConfDirs) -> dict[str, str]:
    """Dotted key to comment, of the files that a config was made from, as far as they are still there.

    Args:
        choices: The option chosen for each group.
        dirs: Where the options are.
    """
    files = dirs.files()
    found = comments_in(dirs.builtin / f"{PRIMARY}.yaml")
    for group, choice in choices.items():
        for name in listed(choice) or [choice]:
            option = files.get(group, {}).get(name)
            if option is None:
                continue
            places = [f"{group}.{name}"] if listed(choice) else BLOCK_GROUPS.get(group, (group,))
            for path in reversed(chain(option, files[group])):  # an option comes over what it builds on
                for key, text in comments_in(path).items():
                    found |= {f"{place}.{key}": text for place in places}
    return found


def with_comments(text: str, comments: Mapping[str, str]) -> str:
    """A config as YAML in block style, with the comments behind its lines."""
    lines = text.splitlines()
    known = {number: comments[key] for number, key in _keys(lines) if key in comments}
    width = min(max((len(lines[number]) for number in known), default=0), _WIDEST)
    return "\n".join(
        f"{line.ljust(width)}  # {known[number]}" if number in known else line
        for number, line in enumerate(lines)
    )


def _keys(lines: list[str]) -> list[tuple[int, str]]:
    """The lines that begin with a key: their numbers and dotted keys."""
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
