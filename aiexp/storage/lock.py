"""Locks on files: held until the process closes them or ends, however it ends."""

import fcntl
import os
import stat
from pathlib import Path
from typing import IO
from weakref import WeakSet

from aiexp.text.terminal import say

_opened: WeakSet[IO[str]] = WeakSet()


def _let_go() -> None:
    """A forked process keeps no lock: a worker that outlives a killed run would hold its directory."""
    for file in list(_opened):
        file.close()


os.register_at_fork(after_in_child=_let_go)


def open_lock(path: Path) -> IO[str]:
    """The file to be locked, made if it is not there.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileExistsError(17, "not a regular file", str(path))
    file = os.fdopen(handle, "a+", encoding="utf-8")
    _opened.add(file)
    return file


def try_lock(file: IO[str]) -> bool:
    """Locks an open file for this process; false if another one has it, or the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def wait_for(file: IO[str], doing: str) -> bool:
    """Locks an open file, after another process if need be, which is said; false where there are no locks.

    Args:
        file: Open.
        doing: What the other process does: "fetches mnist".
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another process that {doing}")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a network file system without locks
        return False
    return True


def is_held(path: Path) -> bool | None:
    """Whether a process holds a lock; None when that cannot be found out. Writes nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False
