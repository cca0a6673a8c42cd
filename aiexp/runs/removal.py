"""Removing a run or some of its checkpoints, under the run's lock.

A folder is renamed to `.trash-...` before it is emptied: a half-removed one is never taken for a run.
"""

import os
import shutil
from pathlib import Path

from aiexp.checkpoint.manifest import verify
from aiexp.errors import SecurityError, StorageError
from aiexp.rundir.directory import renew_latest
from aiexp.rundir.file import LOCK
from aiexp.rundir.named import LATEST
from aiexp.runs.plan import Removal
from aiexp.storage.files import storage_errors
from aiexp.storage.lock import open_lock, try_lock
from aiexp.storage.mark import is_run_directory


def remove(removal: Removal) -> None:
    """Removes what was planned.

    Raises:
        StorageError: a process has begun to work on the run, or the disk refuses.
        SecurityError: it is a link, or no run directory.
        CheckpointError: a checkpoint that is to stay is damaged.
    """
    check_run(removal.run)
    with storage_errors("locking the run", removal.run):
        lock = open_lock(removal.run / LOCK)
    with lock:
        if not try_lock(lock):
            raise StorageError("a process works on it", where=str(removal.run), fix="stop it first")
        for checkpoint in removal.intact:
            verify(checkpoint)
        for path in removal.paths:
            check_link(path.parent)
            check_link(path)
            trash = path.with_name(f".trash-{path.name}")
            with storage_errors("removing", path):
                if trash.exists():
                    shutil.rmtree(trash)
                os.rename(path, trash)
                shutil.rmtree(trash)  # unlinks the links in it, never follows them
    if removal.paths == (removal.run,):
        _forget_latest(removal.run)


def check_run(path: Path) -> None:
    """Refuses what must not be removed.

    Raises:
        SecurityError: a link, no run directory, or the folder the user stands in.
    """
    check_link(path)
    if not is_run_directory(path):
        fix = (
            f"for every run in it: aiexp runs rm 'state=*' {path}"
            if path.is_dir()
            else "aiexp runs lists the runs"
        )
        raise SecurityError("is no run directory: nothing is removed", where=str(path), fix=fix)
    if Path.cwd().resolve().is_relative_to(path.resolve()):
        raise SecurityError("you stand in it", where=str(path), fix="cd .. first")


def check_link(path: Path) -> None:
    """Raises `SecurityError` when `path` is a link."""
    if path.is_symlink():
        target = os.path.relpath(os.path.realpath(path))
        raise SecurityError(
            "is a link, and links are not followed", where=str(path), fix=f"name the run itself: {target}"
        )


def _forget_latest(run: Path) -> None:
    """Lets an `outputs/latest` that led to the run lead to the newest one left."""
    for folder in list(run.parents)[:3]:
        link = folder / LATEST
        if link.is_symlink() and not link.exists():
            renew_latest(folder)
