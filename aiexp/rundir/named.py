"""A run or sweep as people name it: a path, `latest`, or the id that its folder's name ends with."""

import os
import re
from pathlib import Path

from aiexp.errors import ConfigError

OUTPUTS = "outputs"
LATEST = "latest"
_ID = re.compile(r"[0-9a-f]{3,6}")
_BEGUN = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
_OWN_ID = re.compile(r"_([0-9a-f]{6})$")


def named(word: str | os.PathLike[str]) -> Path:
    """The folder that a word names; the word itself, as a path, where it names none.

    Args:
        word: A path; else, below outputs/ of the working directory, `latest`, or an id or the beginning of
            one, at least three of its characters.

    Raises:
        ConfigError: several ids begin so.
    """
    text = os.fspath(word)
    if os.path.lexists(text):
        return Path(text)
    if text == LATEST and os.path.isdir(path := Path(OUTPUTS, LATEST)):
        return path
    if not _ID.fullmatch(text):
        return Path(text)
    found = _folders_of(text)
    if len(found) > 1:
        ids = ", ".join(sorted({run_id(path) for path in found}))
        raise ConfigError(f"several runs begin with '{text}': {ids}", fix="type one more character")
    return found[0] if found else Path(text)


def run_id(path: Path) -> str:
    """The id that a run's folder ends with; empty for a folder named by hand."""
    found = _OWN_ID.search(path.name)
    return found[1] if found else ""


def known_names() -> dict[str, Path]:
    """`latest`, then the ids of the runs and sweeps below outputs/ of the working directory, newest first."""
    if not os.path.isdir(OUTPUTS):
        return {}
    latest = Path(OUTPUTS, LATEST)
    # Names begin with the time; below a sweep they may not.
    newest = sorted(_folders_of(""), key=lambda path: (_begun(path), path.name), reverse=True)
    return ({LATEST: latest} if os.path.isdir(latest) else {}) | {run_id(path): path for path in newest}


def _begun(path: Path) -> str:
    """When a run or a sweep began, as the name of a folder says it; empty where none does."""
    return next((found[0] for part in (path, path.parent) if (found := _BEGUN.match(part.name))), "")


def short_name(path: Path) -> str:
    """The shortest word by which commands find a run from here: its id, or its path."""
    short = run_id(path)
    try:
        is_found = bool(short) and os.path.realpath(named(short)) == os.path.realpath(path)
    except ConfigError:
        is_found = False
    return short if is_found else str(path)


def _folders_of(start: str) -> list[Path]:
    """Runs, sweeps and their jobs whose id begins so: outputs/<task>/[<sweep>/]<run>."""
    return [
        path
        for pattern in (f"*/*_{start}*", f"*/*_sweep_*/*_{start}*")
        for path in Path(OUTPUTS).glob(pattern)
        if run_id(path).startswith(start) and path.is_dir() and not path.is_symlink()
    ]
