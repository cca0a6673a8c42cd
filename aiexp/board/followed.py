"""One run that is watched: what is known of it, brought up to date by looking at as few files as possible."""

import os
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import final

from aiexp.board.tail import Stamp, Tail, stamp_of
from aiexp.compare.page.content import state_of
from aiexp.rundir.file import CONFIG, METRICS, NOTES, STATUS, read_or_empty
from aiexp.rundir.notes import read_notes
from aiexp.rundir.record import RunRecord, read_record
from aiexp.rundir.state import UNDER_WAY

EVALUATED = ("eval/", "test/")


@final
class Change(IntEnum):
    """How much of a run has changed."""

    NOTHING = 0
    PROGRESS = 1  # its numbers
    PLACE = 2  # its state, its config, its pictures: what the comparison and the lists are made of


@final
class Followed:
    """A run.

    Args:
        path: Its directory.
        number: By which the page knows it.
        most: Points of a curve.
        version: Of the watch, now.
    """

    def __init__(self, path: Path, number: int, most: int, version: int) -> None:
        self.path, self.number, self.version = path, number, version
        self.change = Change.PLACE  # of the last version that changed it
        self.tail = Tail(path / METRICS, most)
        # Strings: pathlib takes as long as stat itself.
        self._files = [os.path.join(path, name) for name in (STATUS, NOTES, CONFIG)]
        self._stamps = self._look_at_files()
        self._read()
        if self.record.state in UNDER_WAY:
            self.tail.look(version)
        else:
            self.tail.skip()
        self._known = set(self.tail.last)

    @property
    def is_gone(self) -> bool:
        """Whether its directory is no run any more."""
        return self._stamps[0] is None and not self.path.is_dir()

    def look(self, version: int) -> Change:
        """Brings it up to date.

        Args:
            version: That it has from now on, if anything has changed.
        """
        before, self._stamps = self._stamps, self._look_at_files()
        was_under_way, change = self.record.state in UNDER_WAY, Change.NOTHING
        if self._stamps[2] != before[2]:  # it was resumed with another config, perhaps between two looks
            change = self._read_anew()
        elif self._stamps[0] != before[0]:
            change = self._reread()
        if self._stamps[1] != before[1]:
            self.record = replace(self.record, notes=read_notes(self.path))
            change = max(change, Change.PROGRESS)
        if self.record.state in UNDER_WAY:
            change = max(change, self._follow(version))
        elif was_under_way:
            self.tail.look(version)  # its last lines are for the curves; its status says what came of it
        if change:
            self.version, self.change = version, change
        return change

    def _look_at_files(self) -> tuple[Stamp | None, ...]:
        return tuple(map(stamp_of, self._files))

    def _read(self) -> None:
        self.record = read_record(self.path, is_sealed=True)
        self.state = state_of(self.record)

    def _read_anew(self) -> Change:
        self._read()
        return Change.PLACE

    def _reread(self) -> Change:
        """After a change of its small files; a checkpoint of a run under way costs no look at its metrics."""
        status, old = read_or_empty(self.path / STATUS), self.record
        if status.get("state") != old.state or old.state not in UNDER_WAY or not old.config:
            return self._read_anew()
        total = status.get("total_steps")
        self.record = replace(old, step=max(old.step, status.get("step") or 0), total_steps=total)
        return Change.PROGRESS

    def _follow(self, version: int) -> Change:
        """What a run under way has logged, and whether a process still works on it."""
        change = Change.NOTHING
        if found := self.tail.look(version):
            last = dict(self.tail.last)
            step = int(last.pop("step", 0))
            self.record = replace(self.record, metrics=self.record.metrics | last, step=step)
            is_evaluated = any(name.startswith(EVALUATED) for name in found)
            change = Change.PLACE if is_evaluated or not found <= self._known else Change.PROGRESS
            self._known |= found
        state = state_of(self.record)
        if state != self.state:
            self.state = state
            return Change.PLACE
        return change

    @property
    def shown(self) -> RunRecord:
        """What is known of it, with its real state."""
        return self.record if self.state == self.record.state else replace(self.record, state=self.state)
