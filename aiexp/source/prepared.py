"""Data that was read and worked up once, kept as arrays in the data folder for every later start.

A set is known by everything that it was made from (contents of files, columns, tokenizer, settings): when any
of that changes, another one is made. It is whole or not there; processes that need the same one at once wait
for the first.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiexp.errors import CheckpointError, DataError
from aiexp.source.cache import data_dir, sha256_of
from aiexp.storage.files import storage_errors, sync_directory, write_json
from aiexp.storage.lock import open_lock, wait_for
from aiexp.storage.manifest import MANIFEST, MANIFEST_FILE
from aiexp.storage.reader import read_file
from aiexp.text.terminal import say

if TYPE_CHECKING:
    from aiexp.storage.arrays import ArraysWriter, StoredArrays

# Files up to this size are hashed at every start (0.7 s), larger ones when their size or time has changed.
HASHED_BYTES = 1_000_000_000
_ELSEWHERE = "export AIEXP_DATA_DIR=/path"


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSet:
    """One prepared set in the data folder.

    Args:
        name: Its folder's.
        what: What it was made from, for people.
        size_bytes: On disk.
        used: When it was last opened, seconds since 1970.
    """

    name: str
    what: str
    size_bytes: int
    used: float


def prepared(
    kind: str, key: Mapping[str, Any], what: str, make: "Callable[[ArraysWriter], Mapping[str, Any]]"
) -> "StoredArrays":
    """The arrays that `make` writes, made now if they are not there or are damaged.

    Args:
        kind: First word of the folder's name: "texts".
        key: Everything that the arrays depend on, as JSON, the version of `make` included.
        what: What they are made from, for people: "reviews.csv".
        make: Writes the arrays; returns what else to remember, as JSON.

    Raises:
        DataError: from `make`.
        StorageError: the data folder is full or cannot be written.
    """
    from aiexp.storage.arrays import ArraysWriter, StoredArrays  # numpy, which a list of names needs not

    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = _prepared_dir() / f"{kind}-{digest[:16]}"
    if folder.is_dir() and (found := _opened(folder)):
        return found
    with storage_errors("preparing data", folder, elsewhere=_ELSEWHERE):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, what):
            if folder.is_dir() and (found := _opened(folder)):  # another process was faster
                return found
            shutil.rmtree(folder, ignore_errors=True)
            staging = folder.with_name(f".{folder.name}.{os.getpid()}.part")
            staging.mkdir()
            try:
                with ArraysWriter(staging) as writer:
                    writer.finish({**make(writer), "what": what})
                with suppress(FileExistsError):  # without locks another process may have been faster
                    staging.rename(folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            sync_directory(folder.parent)
    return StoredArrays(folder)


def content_of(path: Path) -> str:
    """sha256 (hex) of a file's content, remembered for large files as long as size and time stay.

    Raises:
        DataError: it cannot be read.
    """
    try:
        found = path.stat()
        if found.st_size <= HASHED_BYTES:
            return sha256_of(path)
        stamp = [str(path.resolve()), found.st_size, found.st_mtime_ns, found.st_ino]
        name = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()
        memory = _prepared_dir() / ".sha256" / name
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(memory.read_text("utf-8"))["sha256"])
        say(f"reading {path.name} ({found.st_size / 1e9:.1f} GB) for its sha256; later starts remember it")
        content = sha256_of(path)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    with suppress(OSError):  # a read-only data folder: hashed again next time
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"file": stamp[0], "sha256": content})
    return content


def list_prepared() -> list[PreparedSet]:
    """What lies in the data folder, the last used first; what is not whole is not listed."""
    sets: list[PreparedSet] = []
    for folder in _prepared_dir().glob("[!.]*"):
        with suppress(OSError, CheckpointError):
            facts = read_file(folder / MANIFEST, MANIFEST_FILE)["facts"]
            size = sum(path.stat().st_size for path in folder.iterdir())
            used = (folder / MANIFEST).stat().st_mtime
            sets.append(
                PreparedSet(name=folder.name, what=str(facts.get("what", "")), size_bytes=size, used=used)
            )
    return sorted(sets, key=lambda one: (-one.used, one.name))


def remove_prepared(name: str) -> bool:
    """Removes a prepared set; runs that have it open go on with it. False if there is none of that name.

    Raises:
        StorageError: it cannot be removed.
    """
    folder = _prepared_dir() / name
    if "/" in name or name.startswith(".") or not folder.is_dir():
        return False
    gone = folder.with_name(f".{name}.gone")
    with storage_errors("removing prepared data", folder, elsewhere=_ELSEWHERE):
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(folder, gone)
        shutil.rmtree(gone)
    return True


def _prepared_dir() -> Path:
    return data_dir() / "prepared"


def _opened(folder: Path) -> "StoredArrays | None":
    """A set that is whole, marked as used; else None, which is said."""
    from aiexp.storage.arrays import StoredArrays

    try:
        found = StoredArrays(folder)
        found.check()
    except DataError as error:
        say(f"{error.what}: it is prepared again")
        return None
    with suppress(OSError):
        os.utime(folder / MANIFEST)
    return found


@contextmanager
def _alone(folder: Path, what: str) -> Generator[None]:
    """Lets one process prepare a set while others wait; where locks do not exist they race harmlessly."""
    with open_lock(folder.with_name(f".{folder.name}.lock")) as file:
        if wait_for(
            file, f"prepares {what}"
        ):  # nobody else is at work: what a killed process left is rubbish
            for rubbish in folder.parent.glob(f".{folder.name}.*.part"):
                shutil.rmtree(rubbish, ignore_errors=True)
        yield
