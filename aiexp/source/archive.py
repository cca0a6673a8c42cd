"""Reads chosen files out of zip, tar and Debian archives; an archive never decides where they are written."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from aiexp.source.catalog.entry import Entry
from aiexp.source.failure import SourceFailed

# Far above any entry; stops an archive inside an archive from filling the disk.
MAX_INNER_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One name in an archive.

    Args:
        name: As stored, with a leading "./" removed.
        size_bytes: As declared.
        is_file: A regular file, neither folder, link nor device.
        open: Opens it for reading.
    """

    name: str
    size_bytes: int
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def extract(archive: Path, inside: tuple[str, ...], folder: str, entry: Entry, target: Path) -> None:
    """Writes the files of `entry` from an archive into the folder `target`.

    Args:
        archive: A zip, tar (any compression) or Debian archive whose sha256 was already checked.
        inside: Archives to open inside it, outermost first.
        folder: Folder of the innermost archive that holds the files.
        entry: Says which files, and their largest size.
        target: An empty folder.

    Raises:
        SourceFailed: the archive is damaged, unsafe, or lacks a file.
    """
    try:
        for depth, name in enumerate(inside):
            inner = target / f".inner-{depth}"
            _pick(archive, {name: (inner, MAX_INNER_BYTES)}, {})
            if depth:
                archive.unlink()
            archive = inner
        prefix = f"{folder}/" if folder else ""
        files = {prefix + f.path: (target / f.path, f.size_bytes) for f in entry.files}
        trees = {prefix + t.path: (target / t.path, t.max_file_bytes) for t in entry.trees}
        _pick(archive, files, trees)
        if inside:
            archive.unlink()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise SourceFailed(f"{archive.name} cannot be read as an archive: {error}") from None


def _pick(archive: Path, files: dict[str, tuple[Path, int]], trees: dict[str, tuple[Path, int]]) -> None:
    """Copies the named members; `trees` maps a folder to where its direct files go."""
    missing = dict(files)
    with _members(archive) as members:
        for member in members:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
                raise SourceFailed(f"{archive.name} is refused: unsafe path {member.name!r}")
            wanted = missing.pop(member.name, None)
            if wanted is None and str(path.parent) in trees and member.is_file:
                folder, limit = trees[str(path.parent)]
                wanted = folder / path.name, limit
            if wanted is None:
                continue
            if not member.is_file:
                raise SourceFailed(f"{archive.name} is refused: {member.name} is not a regular file")
            _copy(member, *wanted)
    if missing:
        raise SourceFailed(f"{archive.name} lacks {', '.join(sorted(missing))}")


def _copy(member: Member, target: Path, limit: int) -> None:
    """Writes one member, never more than `limit` bytes whatever the archive declares."""
    if target.exists():
        raise SourceFailed(f"{member.name} occurs twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    stream = member.open()
    assert stream is not None, "regular files can be opened"
    written = 0
    with stream, target.open("xb") as out:
        while chunk := stream.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > limit:
                raise SourceFailed(f"{member.name} is larger than {limit} bytes")
            out.write(chunk)


@contextmanager
def _members(path: Path) -> Generator[Iterator[Member], None, None]:
    """The members of an archive, in its order; the kind is told from the first bytes."""
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic == b"!<arch>\n":
        with tarfile.open(fileobj=_debian_data(path)) as tar:
            yield _tar_members(tar)
    elif magic.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive)
    else:
        with tarfile.open(path) as tar:
            yield _tar_members(tar)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        # The upper 16 bits are the Unix mode; 0xA000 marks a symbolic link.
        is_link = (info.external_attr >> 16) & 0xF000 == 0xA000
        yield Member(
            name=info.filename,
            size_bytes=info.file_size,
            is_file=not (info.is_dir() or is_link),
            open=lambda info=info: archive.open(info),
        )


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        yield Member(
            name=info.name.removeprefix("./"),
            size_bytes=info.size,
            is_file=info.isreg(),
            open=lambda info=info: tar.extractfile(info),
        )


def _debian_data(path: Path) -> IO[bytes]:
    """The `data.tar.*` of a Debian package, an `ar` archive of at most three members."""
    with path.open("rb") as stream:
        stream.seek(8)
        while len(header := stream.read(60)) == 60:
            name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                if name.endswith(".zst"):
                    raise SourceFailed(f"{path.name} is compressed with zstd, which Python 3.11 cannot read")
                return io.BytesIO(stream.read(size))
            stream.seek(size + size % 2, io.SEEK_CUR)
    raise SourceFailed(f"{path.name} has no data.tar")
