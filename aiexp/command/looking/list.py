"""`aiexp list`: what there is to choose from, read from the header comments of the YAML files."""

import re
import shutil
import textwrap
from pathlib import Path

from aiexp.command.flags import Flags
from aiexp.config.folders import GROUPS, ConfDirs, Option, conf_dirs, shown
from aiexp.errors import ConfigError, nearest
from aiexp.text.terminal import out_lines, visible

HELP = """\
usage: aiexp list [GROUP ...]

Every option of every group, or of the groups named, with its purpose; for
tasks also the data set, the time on two CPU cores and the expected result.
"""
FLAGS = Flags("list")

_FIELDS = ("Data", "Time", "Expected", "Command")


def main(argv: list[str]) -> int:
    """Prints the options of the groups in `argv`, or of all."""
    words, _ = FLAGS.parse(argv)
    dirs = conf_dirs()
    options = dirs.options()
    for word in words:
        if word not in options:
            what = f"no group '{word}'.{nearest(word, options)}"
            raise ConfigError(what, fix=f"groups are {' '.join(options)}")
    groups = words or list(options)
    out_lines("\n\n".join(_group(group, options[group]) for group in groups))
    if not words:
        out_lines(_footer(dirs))
    return 0


def _group(group: str, options: dict[str, Option]) -> str:
    """The paragraph of one group."""
    width = max(map(len, options), default=0) + 2
    lines = [group if group in GROUPS else f"{visible(group)} (your own group)"]
    for option in options.values():
        header = read_header(option.path)
        lines.append(_wrap(f"  {visible(option.name):<{width}}", _purpose(option, header)))
        facts = [(name, header[name]) for name in _FIELDS if name in header]
        indent = " " * (width + 2)
        lines += [_wrap(f"{indent}{name.lower() + ':':<10}", text) for name, text in facts]
    return "\n".join(lines)


def _purpose(option: Option, header: dict[str, str]) -> str:
    """The first line of the header, marked when the file is the user's."""
    purpose = header.get("", "(no header comment)")
    if not option.is_user:
        return purpose
    replaces = ", replaces the built-in one" if option.shadows else ""
    return f"{purpose} [yours: {shown(option.path)}{replaces}]"


def _wrap(start: str, text: str) -> str:
    """`text` after `start`, wrapped to the terminal and indented below it."""
    columns = min(max(shutil.get_terminal_size((80, 24)).columns, 60), 120)
    return textwrap.fill(
        visible(text),
        columns,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    )


def read_header(path: Path) -> dict[str, str]:
    """The purpose (key "") and the fields `Data`, `Time`, `Expected`, `Command` of a file's first comment.

    A task's `Data` is, when not written, the data set that the file selects.
    """
    header: dict[str, str] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for line in text.lstrip().splitlines():
        if not line.startswith("#"):
            break
        content = line.lstrip("#").strip()
        name, colon, value = content.partition(":")
        if colon and name in _FIELDS:
            header[name] = value.strip()
        elif content and not content.startswith("@package") and "" not in header:
            header[""] = content
    chosen = re.search(r"override /dataset: *([\w-]+)", text)
    if chosen:
        header.setdefault("Data", chosen[1])
    return header


def _footer(dirs: ConfDirs) -> str:
    own = (
        f"Your own options come from {shown(dirs.user)}."
        if dirs.user
        else "A conf/ folder here adds your own."
    )
    return f"\nChoose with `aiexp run GROUP=OPTION`. {own}"
