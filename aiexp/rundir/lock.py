"""Whether a process works on a run: the one truth about that is the lock it holds."""

import time
from pathlib import Path

from aiexp.rundir.file import LOCK, STATUS
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import UNDER_WAY, State
from aiexp.storage.lock import is_held

# A run makes its directory, imports torch and only then takes the lock; a slow file system may need minutes.
START_SECONDS = 600.0


def actual_state(record: RunRecord) -> State:
    """The state of a run, DIED where status.json says that it works and no process does."""
    if record.state not in UNDER_WAY or is_held(record.path / LOCK) is not False:
        return record.state
    if record.state == State.STARTING and is_young(record.path):
        return record.state
    return State.DIED


def is_young(path: Path) -> bool:
    """Whether a run directory was touched so lately that its process may be about to take the lock."""
    try:
        changed = max(path.stat().st_mtime, (path / STATUS).stat().st_mtime)
    except OSError:
        return True
    return time.time() - changed < START_SECONDS
