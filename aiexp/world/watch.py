"""A rank's watch over itself: standing still for too long, it writes where it stands, and ends."""

import faulthandler
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

LONGEST_PAUSE = 10.0  # between two settings of the alarm, in seconds
TURN_SECONDS = 1.0  # for a thread to get the interpreter's lock; then whoever stands still has it


@final
class Watch:
    """Python's own alarm, which needs neither the interpreter nor its lock: a rank may hang anywhere.

    Args:
        path: Where the stacks go.
        timeout: Seconds without `alive` after which the process ends, with exit code 1.
        stalled: Ends it instead, from a thread, if one can still run: where no launcher tells what happened.
    """

    def __init__(self, path: Path, timeout: float, stalled: Callable[[], None] | None = None) -> None:
        self._path, self._file = path, path.open("w", encoding="utf-8")
        self._timeout, self._next = timeout, 0.0
        self._stalled, self._timer = stalled, threading.Timer(0.0, self._stand_still)

    def alive(self) -> None:
        """Sets the alarm anew, unless that was done a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            timeout = self._timeout + (TURN_SECONDS if self._stalled else 0)
            faulthandler.dump_traceback_later(timeout, exit=True, file=self._file)
            if self._stalled:
                self._timer.cancel()
                self._timer = threading.Timer(self._timeout, self._stand_still)
                self._timer.daemon = True
                self._timer.start()
            self._next = now + min(LONGEST_PAUSE, self._timeout / 4)

    def end(self) -> None:
        """No alarm any more; nothing was written."""
        self._timer.cancel()
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _stand_still(self) -> None:
        """The thread of a rank whose time is over."""
        faulthandler.cancel_dump_traceback_later()
        faulthandler.dump_traceback(self._file)
        if self._stalled:
            self._stalled()
