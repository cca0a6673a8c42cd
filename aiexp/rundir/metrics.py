"""`metrics.jsonl`: the source of truth for every logged number."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from aiexp.errors import CheckpointError, reason_of
from aiexp.rundir.file import LINE, metrics_bytes
from aiexp.storage.files import storage_errors
from aiexp.storage.reader import UNPARSABLE
from aiexp.storage.shape import is_number


@final
class MetricsFile:
    """One JSON object a line: `step` and metrics by their full names.

    A checkpoint records the file's length; a resumed run cuts the file there, so that every line
    stands once, whenever the process died.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hash = hashlib.sha256()  # of all that the file holds
        with storage_errors("opening the metrics", path):
            self._file = path.open("ab", buffering=0)

    def append(self, step: int, metrics: dict[str, float]) -> None:
        """Writes one line and hands it to the system."""
        line = json.dumps({"step": step, **metrics}, separators=(",", ":")) + "\n"
        with storage_errors("writing metrics", self.path):
            self._file.write(line.encode())
        self._hash.update(line.encode())

    def sync(self) -> int:
        """Makes the file durable; returns its length in bytes."""
        with storage_errors("writing metrics", self.path):
            os.fsync(self._file.fileno())
            return self._file.tell()

    @property
    def digest(self) -> str:
        """sha256 of the file, as it was written."""
        return self._hash.hexdigest()

    def cut(self, length: int, digest: str | None = None) -> None:
        """Drops everything after `length` bytes.

        Args:
            length: In bytes.
            digest: sha256 of the rest; None to take it as it is.

        Raises:
            CheckpointError: the file is shorter, or not what it was: lines are gone that the checkpoint
                counts on.
        """
        self._hash = hashlib.sha256(intact_part(self.path, length, digest))
        with storage_errors("cutting metrics", self.path):
            self._file.truncate(length)
            self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def intact_part(path: Path, length: int, digest: str | None) -> bytes:
    """The first `length` bytes of a metrics file, which a checkpoint was written after.

    Raises:
        CheckpointError: the file is shorter, or their sha256 is not `digest`; None takes them as they are.
    """
    content, fix = metrics_bytes(path, is_strict=True), "restore the file, or start a new run"
    if len(content) < length:
        what = f"metrics have {len(content)} bytes, the checkpoint was written after {length}"
        raise CheckpointError(what, where=str(path), fix=fix)
    if digest is not None and digest != hashlib.sha256(content[:length]).hexdigest():
        what = f"the first {length} bytes are not those that the checkpoint was written after"
        raise CheckpointError(what, where=str(path), fix=fix)
    return content[:length]


def read_metrics(path: Path, *, is_strict: bool = False) -> list[dict[str, Any]]:
    """The lines of a metrics file; a torn last one (the process died in the write) is dropped.

    Args:
        path: A run's metrics.jsonl; a missing one has no lines.
        is_strict: Whether a line that is not a step and numbers is an error; else it is passed over.

    Raises:
        CheckpointError: is_strict, and a line or the file is damaged; the message names the line.
    """
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(metrics_bytes(path, is_strict=is_strict).split(b"\n")[:-1], 1):
        try:
            value = json.loads(line)
            LINE(value, "")
        except UNPARSABLE as error:
            if is_strict:
                what = f"line {number} is damaged: {reason_of(error)}"
                raise CheckpointError(f"{path.name} {what}", where=str(path)) from error
            continue
        lines.append(value)
    return lines


def last_metrics(path: Path) -> dict[str, float]:
    """The last `step` and value of each metric of a metrics file; what cannot be read is passed over."""
    last: dict[str, Any] = {}
    lines = metrics_bytes(path).split(b"\n")[:-1]  # a last line without its end is torn
    for value in parse_lines([line for line in lines if line]):
        last |= value if isinstance(value, dict) else {}
    return {name: float(value) for name, value in last.items() if is_number(value)}


def parse_lines(lines: list[bytes]) -> list[Any]:
    """The value of each line, by one call of the parser if it can be; None for one that cannot be read."""
    with suppress(ValueError, RecursionError):
        values = json.loads(b"[" + b",".join(lines) + b"]")
        if len(values) == len(lines):
            return values
    return [_parse_line(line) for line in lines]


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
