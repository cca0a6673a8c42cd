"""The folder where fetched files live, shared by all runs and processes of a user."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from aiexp.errors import StorageError
from aiexp.source.catalog.entry import Entry, File, Tree
from aiexp.storage.files import storage_errors
from aiexp.storage.lock import open_lock, wait_for

_SEAL = ".verified.json"
HASHED_BYTES = 64_000_000


def data_dir() -> Path:
    """`$AIEXP_DATA_DIR`, or the user's cache folder of this platform."""
    if chosen := os.environ.get("AIEXP_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "aiexp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "aiexp"
    # The XDG rules: a relative path is invalid and ignored.
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "aiexp"


def archives_dir() -> Path:
    """Where a user puts archives (or folders of files) by hand, for machines that reach nothing."""
    return data_dir() / "archives"


def entry_dir(entry: Entry) -> Path:
    """The folder of an entry's files; its name changes when the expected content changes."""
    return data_dir() / "files" / f"{entry.name}-{entry.digest[:12]}"


def sha256_of(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def problem_in(folder: Path, entry: Entry) -> str:
    """What is wrong with the files of `entry` in `folder`, reading all of them; "" when all is right."""
    for file in entry.files:
        if problem := _file_problem(folder / file.path, file):
            return problem
    for tree in entry.trees:
        if problem := _tree_problem(folder / tree.path, tree):
            return problem
    return ""


def is_complete(entry: Entry, *, is_quick: bool = False) -> bool:
    """Whether the cache holds all files of `entry`, unchanged since they were verified.

    Up to HASHED_BYTES in all they are hashed every time: no bit flips unnoticed. More than that (CIFAR-10,
    MiniLM) is hashed again only when a size or time of change differs from the seal.

    Args:
        entry: In question.
        is_quick: Believe sizes and times for small files too: for a list, not for use.
    """
    folder = entry_dir(entry)
    try:
        sealed = json.loads((folder / _SEAL).read_text("utf-8"))
        if sealed == _stamps(folder, entry):
            is_small = sum(size for size, _ in sealed.values()) <= HASHED_BYTES
            return is_quick or not is_small or not problem_in(folder, entry)
    except (OSError, ValueError):
        if not folder.is_dir():
            return False
    if problem_in(folder, entry):
        return False
    with suppress(OSError):  # a read-only shared cache: verified all the same, only not remembered
        seal(folder, entry)
    return True


def seal(folder: Path, entry: Entry) -> None:
    """Remembers that the files in `folder` were verified as they are now."""
    (folder / _SEAL).write_text(json.dumps(_stamps(folder, entry)), "utf-8")


def install(staging: Path, entry: Entry) -> Path:
    """Moves a verified folder to its place in the cache in one step; returns that place."""
    seal(staging, entry)
    target = entry_dir(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not is_complete(entry):
        broken = target.with_name(f".{target.name}.{os.getpid()}.broken")
        os.replace(target, broken)
        shutil.rmtree(broken, ignore_errors=True)
    try:
        os.replace(staging, target)
    except OSError:
        # Another process put the same files there first: theirs are as good.
        if not is_complete(entry):
            raise
        shutil.rmtree(staging, ignore_errors=True)
    return target


def remove(entry: Entry) -> bool:
    """Removes an entry's files; false when there are none.

    Raises:
        StorageError: they cannot be removed.
    """
    folder = entry_dir(entry)
    if not folder.is_dir():
        return False
    gone = folder.with_name(f".{folder.name}.{os.getpid()}.broken")
    with storage_errors("removing data", folder), lock(entry):
        os.replace(folder, gone)
        shutil.rmtree(gone)
    return True


@contextmanager
def staging_dir(entry: Entry) -> Generator[Path, None, None]:
    """An empty private folder on the cache's file system, removed afterwards if it is still there.

    Raises:
        StorageError: the cache cannot be written.
    """
    folder = data_dir() / "files" / f".{entry.name}.{os.getpid()}.{os.urandom(4).hex()}.part"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"the data folder cannot be written: {error}",
            where=str(data_dir()),
            fix="export AIEXP_DATA_DIR=<a writable folder>",
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lock(entry: Entry) -> Generator[None, None, None]:
    """Lets one process fetch an entry while others wait; where locks do not exist they race harmlessly."""
    path = data_dir() / "files" / f".{entry.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open_lock(path)
    except OSError:
        yield
        return
    with stream:
        if not wait_for(stream, f"fetches {entry.name}"):
            yield
            return
        # Nobody else is at work, so what a killed process left behind is rubbish.
        for leftover in (f".{entry.name}.*.part", f".{entry.name}-*.broken"):
            for rubbish in path.parent.glob(leftover):
                shutil.rmtree(rubbish, ignore_errors=True)
        yield


def _stamps(folder: Path, entry: Entry) -> dict[str, list[int]]:
    """Size and time of change (ns) of every file of `entry`."""
    paths = [folder / f.path for f in entry.files]
    for tree in entry.trees:
        paths += sorted((folder / tree.path).iterdir())
    stats = {p.relative_to(folder).as_posix(): p.stat() for p in paths}
    return {name: [s.st_size, s.st_mtime_ns] for name, s in stats.items()}


def _file_problem(path: Path, file: File) -> str:
    """What is wrong with one file."""
    if not path.is_file():
        return f"{file.path} is missing"
    if path.stat().st_size != file.size_bytes:
        return f"{file.path} has {path.stat().st_size} bytes instead of {file.size_bytes}"
    found = sha256_of(path)
    return "" if found == file.sha256 else f"{file.path} has the wrong sha256 {found[:12]}..."


def _tree_problem(folder: Path, tree: Tree) -> str:
    """What is wrong with one folder of many files."""
    paths = sorted(folder.iterdir(), key=lambda p: p.name) if folder.is_dir() else []
    if len(paths) != tree.num_files:
        return f"{tree.path} has {len(paths)} files instead of {tree.num_files}"
    lines = [f"{sha256_of(p)}  {p.name}" for p in paths]
    found = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return "" if found == tree.sha256 else f"{tree.path} has the wrong sha256 {found[:12]}..."
