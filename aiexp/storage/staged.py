"""A folder that is whole or not there, and takes the place of an earlier one of its kind."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aiexp.errors import StorageError
from aiexp.storage.files import delete_folder, storage_errors


def check_target(target: Path, record: str) -> None:
    """Raises `StorageError` if a folder holds something else than what it is to be replaced by.

    Args:
        target: The folder; it need not be there.
        record: A file by which a folder is known for one that may be replaced.
    """
    if target.is_dir() and not (target / record).is_file() and any(target.iterdir()):
        raise StorageError(
            "the folder holds something else, which is not replaced", where=str(target), fix="--out DIR"
        )
    if target.exists() and not target.is_dir():
        raise StorageError("this is a file", where=str(target), fix="--out DIR")


@contextmanager
def staged(target: Path) -> Generator[Path]:
    """A folder that takes the place of `target` when the body is done, and goes when it fails."""
    token = secrets.token_hex(4)
    staging, old = (target.parent / f".{target.name}-{token}.{end}" for end in ("tmp", "old"))
    try:
        with storage_errors("making the folder", target, "--out DIR"):
            staging.mkdir(parents=True)
        yield staging
        with storage_errors("putting the folder in its place", target, "--out DIR"):
            if target.exists():
                target.replace(old)
            staging.replace(target)
    finally:
        delete_folder(staging)
        delete_folder(old)
