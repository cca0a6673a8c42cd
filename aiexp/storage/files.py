"""Files that are whole or not there: write beside, fsync, rename; and the errors of a full or closed disk."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiexp.errors import AiexpError, HardwareError, StorageError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TOO_MANY = {errno.EMFILE, errno.ENFILE}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ELOOP}


@contextmanager
def storage_errors(what: str, path: Path, elsewhere: str = "outputs=/path") -> Generator[None]:
    """Turns an `OSError` of the body into an error that names the path and what to do."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, what, path, elsewhere) from error


def storage_error(error: OSError, what: str, path: Path, elsewhere: str = "outputs=/path") -> AiexpError:
    """The one-line error for an `OSError` met while doing `what` to `path`.

    `elsewhere` is what to type for another folder.
    """
    if error.errno in TOO_MANY:
        return HardwareError(
            f"too many open files while {what}", where=str(path), fix="allow more: ulimit -n 1024"
        )
    if error.errno == errno.EFBIG:
        return StorageError(
            f"a file may not grow any more while {what}", where=str(path), fix="raise the limit: ulimit -f"
        )
    if error.errno in FULL:
        free = shutil.disk_usage(nearest_existing(path)).free
        return StorageError(
            f"no space left while {what}",
            where=str(path),
            fix=f"free some space ({free / 1e6:.0f} MB left) or choose another folder: {elsewhere}",
        )
    if error.errno in CLOSED:
        return StorageError(
            f"cannot write while {what}: {error.strerror}",
            where=str(path),
            fix=f"make it writable or choose another folder: {elsewhere}",
        )
    if error.errno == errno.ENOENT:
        return StorageError(f"a folder has been deleted or never was, while {what}", where=str(path))
    return StorageError(f"storage failed while {what}: {error.strerror or error}", where=str(path))


def nearest_existing(path: Path) -> Path:
    """`path` or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` atomically and durably, with the permissions of the umask."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """The same with bytes."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as indented JSON, atomically and durably."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sync_directory(path: Path) -> None:
    """Makes the renames inside a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def delete_folder(path: Path) -> None:
    """Deletes a folder as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)


def umask() -> int:
    """The process's umask (reading it means setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
