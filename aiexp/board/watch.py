"""All runs below some folders while they are watched. Nothing is done while nobody asks."""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import Any, final

from aiexp.board.followed import Change, Followed
from aiexp.compare.compare import compare
from aiexp.compare.comparison import Comparison
from aiexp.compare.page.content import compact, make_summary, progress_of
from aiexp.compare.page.curves import AXES, Points, known_metrics, most_points, pack, student_quantiles
from aiexp.compare.page.pictures import list_pictures
from aiexp.compare.page.under_way import places_of
from aiexp.compare.question import Question
from aiexp.compare.unfinished import without_results
from aiexp.errors import AiexpError
from aiexp.rundir.record import run_directories
from aiexp.rundir.state import UNDER_WAY

LOOK_SECONDS = 1.0  # between two looks at the disk, however many ask
SHARE = 0.05  # of the time may go into comparing anew
METRICS_AT_ONCE = 5  # that curves are asked for together, about


@final
class Watch:
    """The runs in or below folders; may be asked by several threads.

    Args:
        paths: Runs, sweeps, or any folder above them.
        question: How they are compared.

    Raises:
        ConfigError: no such key or metric.
    """

    def __init__(self, paths: Sequence[Path], question: Question) -> None:
        self.lock = RLock()
        self._id = token_hex(4)  # numbers and versions of another start mean nothing to this one
        self._paths = [Path(os.path.realpath(path)) for path in paths]
        self._question = question
        self._runs: dict[str, Followed] = {}
        self._next = 0  # number of the next run
        self._most = most_points(METRICS_AT_ONCE)
        self._version = 0
        self._looked = self._free = -LOOK_SECONDS  # monotonic: of the last look; from when to compare again
        self._is_old = True  # whether the content is
        self._content: dict[str, Any] = {}
        self._structure = self._made = 0  # of the content: which one it is, and the version it was made in
        self.look()
        self._make(is_strict=True)

    def look(self) -> None:
        """Looks at the disk, unless that was just done."""
        with self.lock:
            now = time.monotonic()
            if now - self._looked < LOOK_SECONDS:
                return
            self._looked = now
            self._version += 1
            self._drop([path for path, run in self._runs.items() if run.look(self._version) and run.is_gone])
            changes = [run.change for run in self._runs.values() if run.version == self._version]
            self._is_old |= Change.PLACE in changes
            found = sorted(p for base in self._paths for p in run_directories(base, self._runs))
            if not self._runs:
                self._most = most_points(METRICS_AT_ONCE * len(found))
            for path in found:
                if str(path) not in self._runs:
                    self._runs[str(path)] = Followed(path, self._next, self._most, self._version)
                    self._next += 1
                    self._is_old = True

    def _drop(self, paths: Iterable[str]) -> None:
        for path in paths:
            del self._runs[path]
            self._is_old = True

    def run(self, number: int) -> Followed | None:
        """A run by its number."""
        with self.lock:
            return next((run for run in self._runs.values() if run.number == number), None)

    def content(self, **live: Any) -> dict[str, Any]:
        """The content of the page, as new as may be.

        Args:
            live: What the page has to know of its server.
        """
        with self.lock:
            self.look()
            if self._is_due():
                self._make()
            # Not the version now: what has changed since it was made is news to a page that is just loaded.
            version = {"board": self._id, "version": self._made, "structure": self._structure}
            return {**self._content, "live": {**live, **version}}

    def changes(
        self, since: int, curves: Mapping[str, int], only: Collection[int] | None = None
    ) -> dict[str, Any]:
        """What is new.

        Args:
            since: The version that the page has of the runs.
            curves: Metrics whose curves it shows, and the version it has of each.
            only: Numbers of the runs whose curves it shows; None for all.
        """
        with self.lock:
            self.look()
            if self._is_due():
                self._make()
            known = {*self._content["curves"]["names"], *AXES}
            wanted = {name: version for name, version in curves.items() if name in known}
            changed = [run for run in self._runs.values() if run.version > since]
            return {
                "board": self._id,
                "version": self._version,
                "structure": self._structure,
                "runs": [
                    [run.number, progress_of(run.record, run.state), _shown_metrics(run)] for run in changed
                ],
                "curves": {**pack(self._curves(wanted, only)), "isThinned": self._is_thinned()},
            }

    def _curves(
        self, wanted: Mapping[str, int], only: Collection[int] | None
    ) -> dict[str, dict[int, Points]]:
        found: dict[str, dict[int, Points]] = {name: {} for name in wanted}
        for run in self._runs.values():
            if only is not None and run.number not in only:
                continue
            run.tail.ask(wanted, self._version)
            for name, since in wanted.items():
                if run.tail.changed[name] > since and (points := run.tail.curves[name].points())[0]:
                    found[name][run.number] = points
        return found

    def _is_thinned(self) -> bool:
        return any(run.tail.is_thinned for run in self._runs.values())

    def _is_due(self) -> bool:
        return self._is_old and time.monotonic() >= self._free

    def _make(self, *, is_strict: bool = False) -> None:
        """Compares anew; the more that costs, the longer it is not done again."""
        start = time.monotonic()
        self._is_old = False
        comparison = self._compare(is_strict=is_strict)
        states = {run.path: run.state for run in self._runs.values()}
        numbers = {run.path: run.number for run in self._runs.values()}
        places = places_of(comparison, [run.shown for run in self._runs.values()], states)
        under_way = [run for run in self._runs.values() if run.state in UNDER_WAY]
        more = dict.fromkeys(name for run in under_way for name in run.tail.last if name != "step")
        names = known_metrics(places.runs, comparison.metric.name, list(more))
        content = make_summary(comparison, places, states)
        content["runs"]["number"] = [numbers[run.path] for run in places.runs]
        self._structure += 1
        self._made = self._version
        self._content = {
            **content,
            "curves": {
                "names": names, "steps": [], "metrics": {}, "student": student_quantiles(),
                "isThinned": self._is_thinned(),
            },
            "pictures": list_pictures(places.runs, places.groups),
            "details": {},
        }  # fmt: skip
        self._free = time.monotonic() + (time.monotonic() - start) / SHARE

    def _compare(self, *, is_strict: bool) -> Comparison:
        """The comparison, or what stands for it where no run has a result."""
        asked = self._question
        records = [run.shown for run in self._runs.values()]
        how: dict[str, Any] = {"by": asked.by, "metric": asked.metric, "direction": asked.direction}
        try:
            return compare(records, **how)
        except AiexpError as error:
            if is_strict and error.exit_code == 2:
                raise
            what = error.what if records else f"there are no runs in {', '.join(map(str, self._paths))} yet"
            return without_results(records, what, **how)


def _shown_metrics(run: Followed) -> dict[str, Any]:
    """The newest value of each metric of a run."""
    return {name: compact(value) for name, value in run.record.metrics.items()}
