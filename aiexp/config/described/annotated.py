"""A config as people read it: each key with its value, what it means, and where it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf

from aiexp.config.composed import Composed
from aiexp.config.folders import ConfDirs, shown
from aiexp.config.group.block_groups import BLOCK_GROUPS
from aiexp.config.origin import Origin
from aiexp.storage.reader import LOADER
from aiexp.text.secrets import redact

TYPED = "typed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One key.

    Args:
        key: Dotted.
        value: Resolved, secrets masked; None for a block, whose keys follow, and for null.
        is_block: Whether it is one.
        comment: What stands beside it in its file; "" for nothing.
        source: The file that wrote it, as people type it; `typed` for the command line.
        reference: What stands in the file instead of the value: `${seed}`; "" for a plain value.
    """

    key: str
    value: Any
    is_block: bool
    comment: str
    source: str
    reference: str


def annotate(composed: Composed, dirs: ConfDirs, part: str = "") -> list[Line]:
    """Every key of a config, in its order.

    Args:
        composed: Checked.
        dirs: The folders it was composed from.
        part: Only this key and what is below it; "" for all.
    """
    origin = Origin(overrides=composed.overrides, choices=composed.choices, dirs=dirs)
    raw = cast(dict[str, Any], OmegaConf.to_container(composed.config))
    values = redact(cast(dict[str, Any], OmegaConf.to_container(composed.config, resolve=True)))
    files = dirs.files()
    read, chain = cache(comments_in), cache(origin.chain)
    lines: list[Line] = []
    for key, written, value in _walk(raw, values):
        if part and key != part and not key.startswith(f"{part}."):
            continue
        block = _block_file(key, written, composed, files)
        path = block or origin.file(key)
        is_typed = origin.where(key).startswith("command line: ")
        notes = [read(path)] if path else []
        if not isinstance(value, dict):  # what a block is, only the file that wrote it knows
            notes += [read(base) for base in chain(key.partition(".")[0])]
        lines.append(
            Line(
                key=key,
                value=None if isinstance(value, dict) else value,
                is_block=isinstance(value, dict),
                comment=next((n[name] for n in notes for name in _inside(key) if name in n), ""),
                source=TYPED if is_typed else shown(path) if path else "",
                reference=written if isinstance(written, str) and "${" in written else "",
            )
        )
    return lines


def _inside(key: str) -> list[str]:
    """A key as files call it: whole, below its group, below its block (`optimizer=sgd`, `tracker=[a,b]`)."""
    below = key.partition(".")[2]
    names = [key, below, below.partition(".")[2]]
    for blocks in BLOCK_GROUPS.values():
        names += [key.removeprefix(f"{block}.") for block in blocks if key.startswith(f"{block}.")]
    return [name for name in names if name]


def comments_in(path: Path) -> dict[str, str]:
    """Dotted key to the comment that stands on its line of a YAML file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return {}
    lines, found = text.splitlines(), dict[str, str]()

    def visit(node: Any, before: str) -> None:
        for name, value in node.value:
            key = f"{before}{name.value}"
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                visit(value, f"{key}.")
                end = name.end_mark
            else:
                end = value.end_mark if value.end_mark.line == name.end_mark.line else name.end_mark
            _, mark, comment = (
                lines[end.line][end.column :].partition("#") if end.line < len(lines) else ("",) * 3
            )
            if mark:
                found[key] = comment.strip()

    if isinstance(root, yaml.MappingNode):
        visit(root, "")
    return found


def _walk(raw: dict[str, Any], values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, what is written, and what it comes to; a block before its keys."""
    for name, written in raw.items():
        value, key = values[name], f"{before}{name}"
        yield key, written, value
        if isinstance(value, dict):
            inner = cast(dict[str, Any], written) if isinstance(written, dict) else value
            yield from _walk(inner, cast(dict[str, Any], value), f"{key}.")


def _block_file(key: str, written: Any, composed: Composed, files: dict[str, Any]) -> Path | None:
    """The file by which `optimizer=sgd` said a key of the block that it replaced."""
    for group, blocks in BLOCK_GROUPS.items():
        option = files.get(group, {}).get(composed.choices.get(group, ""))
        block = next((b for b in blocks if key == b or key.startswith(f"{b}.")), None)
        if option is None or block is None:
            continue
        inner = key.removeprefix(block).removeprefix(".")
        if block.endswith("s"):  # a block of blocks: the name of one stands between
            inner = inner.partition(".")[2]
        content = OmegaConf.load(option.path)
        if not inner or (isinstance(content, DictConfig) and OmegaConf.select(content, inner) == written):
            return option.path
    return None
