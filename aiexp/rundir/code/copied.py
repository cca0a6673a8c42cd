"""The user's own code of a run that is used elsewhere: copies in the run directory, read once and checked."""

import atexit
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from aiexp.config.folders import shown
from aiexp.config.target.allowed import only_files, trusted_packages
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.errors import ConfigError
from aiexp.rundir.code.own_code import LARGEST_COPY, own_code_of
from aiexp.rundir.code.record import FOLDER, Version, read_versions

_run_of: dict[Path, Path] = {}  # folder of copies: the run that they are of


@contextmanager
def used_code_of(run: Path) -> Generator[None]:
    """A body in which the user's own code is that of a run which is not gone on with, only used.

    Where the run was made that is the code which lies there; elsewhere the copies beside the newest weights,
    if this user's aiexp has signed them or the user trusts all their packages.

    Raises:
        ConfigError: this process has imported other modules of these names.
    """
    versions = read_versions(run)
    if not versions or versions[-1].is_here or not is_usable(versions[-1]):
        if versions and versions[-1].is_here:
            check_imported(run, {file.module: Path.cwd() / file.path for file in versions[-1].files})
        with own_code_of(run):
            yield
        return
    contents = contents_of(run / FOLDER / str(len(versions)), versions[-1])
    folder = unpacked(tuple(sorted(contents.items())))
    _run_of.setdefault(folder, run)
    check_imported(run, {file.module: folder / file.copy for file in versions[-1].files if file.copy})
    with WORKING_DIRECTORY.replaced_by(folder), only_files(frozenset(folder / name for name in contents)):
        yield


def check_imported(run: Path, files: Mapping[str, Path]) -> None:
    """Raises `ConfigError` where this process has imported another module by the name of one of a run's own.

    Args:
        run: The run directory.
        files: By the names of their modules.
    """
    for name, path in files.items():
        place = place_of(name)
        expected = path if name in sys.modules else path.parents[name.count(".") - (path.stem != "__init__")]
        if place is None or place.resolve() == expected.resolve():
            continue
        other = next((_run_of[folder] for folder in _run_of if place.is_relative_to(folder)), place)
        raise ConfigError(
            f"{name} of this run cannot be imported beside that of {shown(other)}: "
            "a process holds one module of a name", where=shown(run),
            fix="use each of them in a process of its own",
        )  # fmt: skip


def place_of(name: str) -> Path | None:
    """Where a module was imported from, or the package that it would be; None of neither, or of no file."""
    module, package = sys.modules.get(name), sys.modules.get(name.split(".")[0])
    if module is not None:
        file = getattr(module, "__file__", None)
        return None if file is None else Path(file)
    return next((Path(path) for path in getattr(package, "__path__", [])), None)


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
