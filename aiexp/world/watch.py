"""A rank's watch over itself: standing still for too long, it writes where it stands, and ends."""

import faulthandler
import time
from pathlib import Path
from typing import final

LONGEST_PAUSE = 10.0  # between two settings of the alarm, in seconds


@final
class Watch:
    """Python's own alarm, which needs neither the interpreter nor its lock: a rank may hang anywhere.

    Args:
        path: Where the stacks go.
        timeout: Seconds without `alive` after which the process ends, with exit code 1.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._file = path, path.open("w", encoding="utf-8")
        self._timeout, self._next = timeout, 0.0

    def alive(self) -> None:
        """Sets the alarm anew, unless that was done a moment ago."""
        now = time.monotonic()
        if now >= self._next:
            faulthandler.dump_traceback_later(self._timeout, exit=True, file=self._file)
            self._next = now + min(LONGEST_PAUSE, self._timeout / 4)

    def end(self) -> None:
        """No alarm any more; nothing was written."""
        faulthandler.cancel_dump_traceback_later()
        self._file.close()
        self._path.unlink(missing_ok=True)
