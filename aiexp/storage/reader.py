"""The one reader of files that a run stores: what comes out of it has its declared shape.

A run directory may come from someone else or from a failing disk. Whatever lies there, reading it ends soon,
in a value or in one error that names the file and the key.
"""

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import yaml

from aiexp.errors import CheckpointError, OtherFormatError, reason_of
from aiexp.storage.shape import Shape, check_depth, whole

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST_YAML = 100  # while parsing, before a shape is looked at
# What parsers raise at bytes that are no JSON or YAML; `!!int ''` is an IndexError.
UNPARSABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, yaml.YAMLError,
)  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """What a file must hold.

    Args:
        shape: Of the value parsed.
        most_bytes: A larger file is refused unread.
        deepest: Lists and mappings nested deeper are refused.
        format: The value of its key `format`, where it has one: looked at first, as others have other shapes.
        whole: What has that format.
    """

    shape: Shape
    most_bytes: int = 20_000_000
    deepest: int = 30
    format: int | None = None
    whole: str = ""


class PlainDumper(yaml.SafeDumper):
    """Writes a value that stands in two places twice, never as an alias, which the reader refuses."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """What plain style may be used for: not for a "next line", which would be read back as a space."""
        analysis = super().analyze_scalar(scalar)
        if "\x85" in scalar:
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis


def to_yaml(value: Any) -> str:
    """A value as the YAML that `read_stored` reads."""
    return yaml.dump(value, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file that is not larger than that; never waits for a pipe or a device.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file, or too large.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no regular file")
        if found.st_size > most_bytes:
            raise ValueError(f"has {found.st_size} bytes; {most_bytes} are the most that are read")
        return file.read(most_bytes + 1)


def read_from(path: Path, start: int, most_bytes: int) -> bytes:
    """A part of a regular file: so many bytes at most from a place on; a negative one counts from the end.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no regular file")
        file.seek(start if start >= 0 else max(found.st_size + start, 0))
        return file.read(most_bytes)


def read_file(path: Path, stored: StoredFile) -> dict[str, Any]:
    """The content of a JSON or YAML file, a mapping.

    Raises:
        CheckpointError: missing, unreadable, or not of its shape; the message names the file and the key.
    """
    try:
        content = read_bytes(path, stored.most_bytes)
    except OSError as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise CheckpointError(f"{path.name} {what}", where=str(path)) from error
    except ValueError as error:
        raise CheckpointError(f"{path.name} {error}", where=str(path)) from error
    parse: Callable[[str], Any] = parse_yaml if path.suffix == ".yaml" else json.loads
    try:
        value = parse(content.decode("utf-8"))
        check_depth(value, stored.deepest)
        if not isinstance(value, dict):
            raise ValueError("not a mapping")
        found = cast(dict[str, Any], value)
        if stored.format is not None:
            _check_format(found, stored, path)
        stored.shape(found, "")
    except UNPARSABLE as error:
        raise CheckpointError(f"{path.name} is damaged: {reason_of(error)}", where=str(path)) from error
    return found


def _check_format(value: dict[str, Any], stored: StoredFile, path: Path) -> None:
    """Raises `OtherFormatError` when another aiexp wrote a file."""
    found = value.get("format", stored.format)
    whole(0)(found, "format")
    if found != stored.format:
        raise OtherFormatError(
            f"{stored.whole} has format {found}, this aiexp reads {stored.format}", where=str(path.parent),
            fix="update aiexp" if found > stored.format else "use the aiexp that wrote it",
        )  # fmt: skip


def parse_yaml(content: str) -> Any:
    """The value of a YAML text without aliases, which can make a value endless or exponentially large."""
    depth = 0
    for event in yaml.parse(content, Loader=LOADER):
        if getattr(event, "anchor", None) is not None:
            raise ValueError(
                f"an alias or anchor in line {event.start_mark.line + 1}, which is never written"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST_YAML:
            raise ValueError(f"nested more than {DEEPEST_YAML} deep")
    return yaml.load(content, Loader=LOADER)  # noqa: S506  a safe loader
