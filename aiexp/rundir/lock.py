"""Whether a process works on a run: the one truth about that is the lock it holds."""

import fcntl
import time
from pathlib import Path

from aiexp.rundir.record import RunRecord

# A run makes its directory, imports torch and only then takes the lock; a slow file system may need minutes.
START_SECONDS = 600.0
UNFINISHED = ("starting", "running")


def is_held(lock: Path) -> bool | None:
    """Whether a process holds a run's lock; None when that cannot be found out. Writes nothing."""
    try:
        with lock.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def actual_state(record: RunRecord) -> str:
    """The state of a run, `died` where status.json says that it works and no process does."""
    if record.state not in UNFINISHED or is_held(record.path / ".lock") is not False:
        return record.state
    if record.state == "starting" and is_young(record.path):
        return record.state
    return "died"


def is_young(path: Path) -> bool:
    """Whether a run directory was touched so lately that its process may be about to take the lock."""
    try:
        changed = max(path.stat().st_mtime, (path / "status.json").stat().st_mtime)
    except OSError:
        return True
    return time.time() - changed < START_SECONDS
