"""A run's metrics.jsonl while it grows: only what was appended is read."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, final

from aiexp.compare.page.curves import Points, is_point, points_in, rounded
from aiexp.rundir.file import metrics_bytes
from aiexp.rundir.metrics import parse_lines
from aiexp.storage.reader import read_from
from aiexp.storage.shape import is_number

MOST_BYTES = 64_000_000  # read at once; what a run has appended beyond it comes with the next look
PROOF_BYTES = 64  # in front of what is appended: are they still those that were read?

Stamp = tuple[int, int, int]  # which file, how long, changed when


def stamp_of(path: str | Path) -> Stamp | None:
    """What tells a file from what it was; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@final
class Curve:
    """Points of one metric of one run, every so many of them once they are many, the newest always.

    Args:
        points: Of what the file held.
        stride: How many points of the file each of them stands for.
        most: More are never kept.
    """

    def __init__(self, points: Points, stride: int, most: int) -> None:
        self._steps, self._values = points
        self.stride, self._most = stride, most
        self._passed = 0  # since the last one that is kept
        self._newest: tuple[int, float | None] | None = None

    def add(self, step: int, value: float | None) -> None:
        """One more point of the file."""
        self._passed += 1
        if self._passed < self.stride:
            self._newest = step, value
            return
        self._passed, self._newest = 0, None
        self._steps.append(step)
        self._values.append(value)
        if len(self._steps) > self._most:
            self._steps, self._values = self._steps[::2], self._values[::2]
            self.stride *= 2

    def points(self) -> Points:
        """What is kept."""
        if self._newest is None:
            return self._steps, self._values
        return [*self._steps, self._newest[0]], [*self._values, self._newest[1]]


@final
class Tail:
    """What is known of a metrics file.

    Args:
        path: It need not be there yet.
        most: Points of a curve.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.path = path
        self.last: dict[str, float] = {}  # `step` and the newest value of each metric, of what was read
        self.curves: dict[str, Curve] = {}
        self.changed: dict[str, int] = {}  # version in which a curve has changed
        self._most = most
        self._is_cut = False  # whether the file held more points than a curve was begun with
        self._stamp: Stamp | None = None
        self._offset = 0
        self._proof = b""

    @property
    def is_thinned(self) -> bool:
        """Whether points were left out of a curve."""
        return self._is_cut or any(curve.stride > 1 for curve in self.curves.values())

    def skip(self) -> None:
        """Takes note of a file that is complete, without reading it."""
        self._stamp = stamp_of(self.path)

    def look(self, version: int) -> set[str]:
        """Reads what was appended; the metrics in it.

        A file that is not the one it was, or shorter, or other in what was read (a resumed run cuts its own),
        is read anew, with all its curves.

        Args:
            version: That curves which change now have from now on.
        """
        stamp = stamp_of(self.path)
        if stamp == self._stamp:
            return set()
        before, self._stamp = self._stamp, stamp
        if stamp is None:
            return set()
        if stamp[1] < self._offset or (before is not None and before[0] != stamp[0]):
            return self._anew(version)
        new = self._appended()
        if not new.startswith(self._proof):
            return self._anew(version)
        lines = new[len(self._proof) :]
        end = lines.rfind(b"\n") + 1
        found = self._take(lines[:end].split(b"\n")[:-1], version)
        self._offset += end
        self._proof = (self._proof + lines[:end])[-PROOF_BYTES:]
        if len(new) >= MOST_BYTES:
            self._stamp = None  # there is more
        return found

    def ask(self, names: Iterable[str], version: int) -> None:
        """Begins curves of metrics, with what the file holds of them until now."""
        missing = [name for name in names if name not in self.curves]
        if not missing:
            return
        content = metrics_bytes(self.path)
        if not self._offset:  # was skipped
            self._offset = content.rfind(b"\n") + 1
            self._proof = content[max(self._offset - PROOF_BYTES, 0) : self._offset]
        content = content[: self._offset]
        begun, is_cut = points_in(content, missing, self._most)
        self._is_cut |= is_cut
        for name, points in begun.items():
            held = content.count(f'"{name}":'.encode()) if len(points[0]) >= self._most else 1
            stride = max(round(held / max(len(points[0]), 1)), 1)
            self.curves[name] = Curve(points, stride, self._most)
            self.changed[name] = version

    def _appended(self) -> bytes:
        """Proof and what follows it."""
        try:
            return read_from(self.path, self._offset - len(self._proof), MOST_BYTES)
        except (OSError, ValueError):
            return b""

    def _anew(self, version: int) -> set[str]:
        asked = list(self.curves)
        self.last, self.curves, self._offset, self._proof, self._stamp = {}, {}, 0, b"", None
        self._is_cut = False
        found = self.look(version) | set(asked)
        self.ask(asked, version)
        return found

    def _take(self, lines: Sequence[bytes], version: int) -> set[str]:
        found: set[str] = set()
        for row in parse_lines([line for line in lines if line]):
            if not isinstance(row, dict):
                continue
            values: dict[str, Any] = row  # pyright: ignore[reportUnknownVariableType]
            for name, value in values.items():
                if not is_number(value):
                    continue
                found.add(name)
                self.last[name] = float(value)
                if name in self.curves and is_point(values, name):
                    self.curves[name].add(values["step"], rounded(value))
                    self.changed[name] = version
        return found
