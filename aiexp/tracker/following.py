"""The trackers of one run, each behind a guard of its own: what a session talks to."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from aiexp.rundir.tracked import tracked
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo, Tracker
from aiexp.tracker.guard import GuardedTracker
from aiexp.tracker.several import SeveralTrackers

PREPARE_SECONDS = 60.0  # imports from a slow network disk


@final
class Following:
    """Trackers by the names of their options; one that fails disturbs neither the others nor the run.

    Args:
        tracker: One, or several.
        name: The option of the one.
        directory: The run directory.
    """

    def __init__(self, tracker: Tracker | SeveralTrackers, name: str, directory: Path) -> None:
        several = tracker.trackers if isinstance(tracker, SeveralTrackers) else {name: tracker}
        shown = len(several) > 1
        self.guards = {key: GuardedTracker(one, key if shown else None) for key, one in several.items()}
        self._preparing = [
            threading.Thread(target=guard.prepare, args=(directory,), daemon=True, name="aiexp prepares")
            for guard in self.guards.values()
        ]

    def prepare(self) -> None:
        """Begins in threads what each can do before there is a run to follow."""
        for thread in self._preparing:
            thread.start()

    def start(self, run: RunInfo) -> dict[str, dict[str, Any]]:
        """What each wants recorded, by name, added to what earlier processes recorded.

        Args:
            run: Its `previous` is what is known of all of them: see `describe_run`.

        Raises:
            AiexpError: the config demands what one of them cannot have.
        """
        self.wait()
        for guard in self.guards.values():
            guard.check()  # before any of them makes a run
        known = dict(tracked(run.environment))
        for name, guard in self.guards.items():
            before = known.get(name) or run.previous
            record = guard.start(replace(run, previous=before))
            if record:
                known[name] = {**(known.get(name) or {}), **record} if "failure" in record else record
        return known

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics at an optimizer step; the dict must not change afterwards."""
        for guard in self.guards.values():
            guard.log(step, metrics)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A picture file."""
        for guard in self.guards.values():
            guard.log_picture(step, name, path)

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table."""
        for guard in self.guards.values():
            guard.log_table(step, name, table)

    def close(self, exit_code: int) -> None:
        """Ends them all, whatever one of them raises (a stop request)."""
        self.wait()
        with ExitStack() as closing:
            for guard in self.guards.values():
                closing.callback(guard.close, exit_code)

    def wait(self) -> None:
        """Until all have prepared: a process must neither fork nor end in the middle of an import."""
        for thread in self._preparing:
            if thread.ident is not None:
                thread.join(PREPARE_SECONDS)
