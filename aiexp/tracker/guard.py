"""The breaker between a run and its tracker: tracking may fail or hang, the run does neither."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from aiexp.errors import AiexpError
from aiexp.task.report import Table
from aiexp.tracker.base import Preparing, RunInfo, Tracker
from aiexp.tracker.notice import notice

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000  # calls; a tracker that is this far behind hangs
DRAIN_SECONDS = 30.0  # what `close` grants for the calls still waiting


@final
class GuardedTracker:
    """A tracker that works in a thread of its own; after its first failure one warning, then silence.

    `start` and `close` run in the caller's thread, everything else in order in the tracker's thread, so a
    slow `log` costs the training loop only a queue entry.

    Args:
        tracker: The tracker that does the work; its `close` must be bounded in time.
        name: What to call it where there are others.
    """

    def __init__(self, tracker: Tracker, name: str | None = None) -> None:
        self.tracker, self.name = tracker, name
        self._has_begun = isinstance(tracker, Preparing)  # so that there is something to close
        self._problem: AiexpError | None = None
        self.failure: str | None = None
        self.upload: str | None = None  # the command that uploads later, when the tracker has one
        self.calls: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue(MAX_WAITING)
        self.thread = threading.Thread(target=self._work, daemon=True, name="aiexp-tracker")
        self.lock = threading.Lock()

    def prepare(self, directory: Path) -> None:
        """What the tracker can do before there is a run; what it lacks is said by `check`.

        Args:
            directory: The run directory.
        """
        if not isinstance(self.tracker, Preparing):
            return
        try:
            self.tracker.prepare(directory)
        except AiexpError as error:
            self._problem = error
        except Exception:
            logger.debug("tracker.prepare failed", exc_info=True)  # it only saves time: `start` will say it

    def check(self) -> None:
        """Raises the `AiexpError` that `prepare` met."""
        if self._problem is not None:
            raise self._problem

    def start(self, run: RunInfo) -> dict[str, Any]:
        """What the tracker wants recorded, or {"failure": ...} when it cannot start.

        Raises:
            AiexpError: if the config demands what the tracker cannot have (`tracker.mode=required`).
        """
        self._has_begun = True
        try:
            record = self.tracker.start(run)
        except AiexpError:
            raise
        except Exception as error:
            self._give_up("start", error)
            return {"failure": self.failure}
        self.upload = record.get("upload")
        self.thread.start()
        return record

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics at an optimizer step; the dict must not change afterwards."""
        self._later("log", lambda: self.tracker.log(step, metrics))

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A picture file."""
        self._later("log_picture", lambda: self.tracker.log_picture(step, name, path))

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table."""
        self._later("log_table", lambda: self.tracker.log_table(step, name, table))

    def close(self, exit_code: int) -> None:
        """Finishes what waits and ends the run; after a failure too, so that what came before it is kept."""
        if not self._has_begun:
            return
        if self.thread.is_alive():
            self._drain()
        self._try("close", lambda: self.tracker.close(exit_code))

    def _later(self, name: str, action: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            self.calls.put_nowait((name, action))
        except queue.Full:
            self._give_up(name, TimeoutError(f"{MAX_WAITING} calls wait for the tracker"))

    def _work(self) -> None:
        while (call := self.calls.get()) is not None:
            if self.failure is None:
                self._try(*call)

    def _drain(self) -> None:
        """Waits for the thread to finish what it has, at most `DRAIN_SECONDS`."""
        end = time.monotonic() + DRAIN_SECONDS
        try:
            self.calls.put(None, timeout=DRAIN_SECONDS)
            self.thread.join(max(end - time.monotonic(), 0))
        except queue.Full:
            pass  # said below
        if self.thread.is_alive():
            self._give_up("close", TimeoutError(f"the tracker has been busy for {DRAIN_SECONDS:g} s"))

    def _try(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        with self.lock:
            logger.debug("tracker.%s failed", name, exc_info=error)
            if self.failure is not None:
                return
            reason = str(error).strip() or "no message"
            self.failure = f"{name}: {type(error).__name__}: {reason}"
        later = f"; upload later: {self.upload}" if self.upload else ""
        by = f" by {self.name}" if self.name else ""
        notice(f"tracking{by} stopped, the run and its metrics.jsonl go on: {self.failure}{later}")
