"""What the machine refuses (memory, open files, space) as the user's error, wherever it happens.

Where the place is known a more precise error is raised there; this is for the rest.
"""

import errno
from pathlib import Path

from aiexp.errors import AiexpError, ConfigError, HardwareError, MemoryFullError, StorageError, reason_of
from aiexp.storage.files import FULL, TOO_MANY, storage_error

_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
# How libraries put it: the loader of shared objects, torch, the C++ library.
_NO_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "bad_alloc",
    "can't start new thread",
    "cannot create thread",
)


def limit_error(error: BaseException) -> AiexpError | None:
    """The one-line error behind an exception that is no bug but a limit of the machine; else None."""
    number = error.errno if isinstance(error, OSError) else None
    says_memory = isinstance(error, OSError | RuntimeError | ImportError | SystemError) and any(
        sign in reason_of(error).lower() for sign in _NO_MEMORY
    )
    if isinstance(error, MemoryError) or number == errno.ENOMEM or says_memory:
        return memory_error(error)
    if not isinstance(error, OSError):
        return None
    where = str(error.filename or "")
    if number == errno.EAGAIN:
        return HardwareError("no more processes may be started", where=where, fix="allow more: ulimit -u")
    if number == errno.ENAMETOOLONG:
        return ConfigError(f"a name is too long: {where[:40]}...", fix="give a shorter one")
    if number in FULL and not where:
        fix = "free some space, or choose another folder: outputs=/path"
        return StorageError(f"cannot write: {error.strerror}", fix=fix)
    if number in FULL | TOO_MANY | _CLOSED:
        return storage_error(error, "working", Path(where or "."))
    return None


def memory_error(error: BaseException) -> MemoryFullError:
    """The one-line error behind memory that ran out, of the machine or the device."""
    fix = "halve dataset.batch_size and double trainer.accumulate, or take a smaller model"
    return MemoryFullError(f"out of memory: {reason_of(error)}", fix=fix)
