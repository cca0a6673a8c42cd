"""A run's `config.yaml` as flat dotted keys, read fast: runs that are compared share most of their lines.

libyaml takes 1 ms for the 84 lines of a config (measured), so a second for a thousand runs. Here a file is
cut into its keys by their indentation, and the text of each value goes through libyaml once, however many
runs hold it: 0.2 ms a config that no other equals, less for others.
"""

import functools
import re
from typing import Any

import yaml

from aiexp.rundir.changes import flatten

TOP = re.compile(r"^(?=[A-Za-z_])", re.MULTILINE)  # before each key of the first level
KEY = re.compile(r"( *)([A-Za-z_][\w/@.-]*):(?: (.*))?")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_flat_config(text: str) -> dict[str, Any]:
    """Dotted keys and their values; lists and empty mappings stay values.

    Raises:
        ValueError: it is not a YAML mapping.
    """
    flat: dict[str, Any] = {}
    for block in TOP.split(text):
        part = _cut(block)
        if part is None:
            return _parse_whole(text)
        flat |= part
    return flat


@functools.lru_cache(maxsize=10_000)
def _cut(block: str) -> dict[str, Any] | None:
    """The keys of some lines as `yaml.safe_dump` writes them; None when something else is in them."""
    lines = block.split("\n")
    flat: dict[str, Any] = {}
    parents: list[tuple[int, str]] = []  # indentation and dotted name
    i = 0
    while i < len(lines):
        if not lines[i]:
            i += 1
            continue
        found = KEY.fullmatch(lines[i])
        if found is None:
            return None
        indent, name, value = len(found[1]), found[2], found[3]
        while parents and parents[-1][0] >= indent:
            parents.pop()
        key = f"{parents[-1][1]}.{name}" if parents else name
        end = _end_of_value(lines, i + 1, indent)
        if value is None and end > i + 1 and KEY.fullmatch(lines[i + 1]) and lines[i + 1].startswith(" "):
            parents.append((indent, key))
            i += 1
            continue
        try:
            value = _parse("\n".join([value or "", *(line[indent:] for line in lines[i + 1 : end])]))
        except yaml.YAMLError:
            return None
        flat |= flatten(value, f"{key}.") if isinstance(value, dict) and value else {key: value}
        i = end
    return flat


def _end_of_value(lines: list[str], start: int, indent: int) -> int:
    """The first line from `start` on that no longer belongs to the key at `indent`."""
    item = " " * indent + "- "
    end = start
    while end < len(lines) and (not lines[end] or lines[end].startswith((" " * (indent + 1), item))):
        end += 1
    return end


@functools.lru_cache(maxsize=100_000)
def _parse(text: str) -> Any:
    """The value of a key: what stands behind the colon and the lines below it."""
    return yaml.load(f"a: {text}", Loader=LOADER)["a"]  # noqa: S506  a safe loader


def _parse_whole(text: str) -> dict[str, Any]:
    """The same by libyaml alone."""
    try:
        value = yaml.load(text, Loader=LOADER)  # noqa: S506  a safe loader
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return flatten(value)
