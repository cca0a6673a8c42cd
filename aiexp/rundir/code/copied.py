"""The user's own code of a run that is used elsewhere: copies in the run directory, read once and checked."""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from aiexp.config.target.allowed import only_files, trusted_packages
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.rundir.code.own_code import LARGEST_COPY, own_code_of
from aiexp.rundir.code.record import FOLDER, Version, read_versions


@contextmanager
def used_code_of(run: Path) -> Generator[None]:
    """A body in which the user's own code is that of a run which is not gone on with, only used.

    Where the run was made that is the code which lies there; elsewhere the copies beside the newest weights,
    if this user's aiexp has signed them or the user trusts all their packages.
    """
    versions = read_versions(run)
    if not versions or versions[-1].is_here or not is_usable(versions[-1]):
        with own_code_of(run):
            yield
        return
    contents = contents_of(run / FOLDER / str(len(versions)), versions[-1])
    folder = unpacked(tuple(sorted(contents.items())))
    with WORKING_DIRECTORY.replaced_by(folder), only_files(frozenset(folder / name for name in contents)):
        yield


def is_usable(version: Version) -> bool:
    """Whether copies may be imported: whoever hands a run on can write any."""
    return version.is_signed or {f.module.split(".")[0] for f in version.files} <= trusted_packages()


def contents_of(folder: Path, version: Version) -> dict[str, bytes]:
    """The copies that are what was recorded, by their paths; the others count as not there."""
    found: dict[str, bytes] = {}
    for file in version.files:
        path = None if file.copy is None else folder / file.copy
        if path is None or not path.is_file() or path.stat().st_size > LARGEST_COPY:
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == file.sha256:
            found[str(file.copy)] = content
    return found


@lru_cache(maxsize=64)
def unpacked(contents: tuple[tuple[str, bytes], ...]) -> Path:
    """A folder with files of these paths, this user's alone, until the process ends.

    Imported from the run directory itself, Python would take bytecode that somebody has put beside them.
    """
    folder = Path(tempfile.mkdtemp(prefix="aiexp-code-")).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, content in contents:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
