"""The lock on a study's journal."""

import fcntl
from pathlib import Path
from typing import IO, final


@final
class JournalLock:
    """Belongs to a process and ends with it; has the methods of Optuna's own.

    Optuna's own lock is a file: a process killed in a write, which is half of the writes' time, leaves it
    behind, and everyone else waits half a minute for it (met on the first kill -9 of a sweep).

    Args:
        path: The journal; the lock lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.lock")
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Waits for the lock."""
        self._file = self._path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Lets go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None
