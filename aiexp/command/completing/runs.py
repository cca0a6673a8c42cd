"""Words that name runs: `latest`, ids, folders; and what depends on a run that is named already."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from aiexp.command.completing import Found
from aiexp.command.completing.overrides import assigned, next_parts
from aiexp.config.described.suggest import Sketch
from aiexp.config.folders import ConfDirs
from aiexp.errors import AiexpError
from aiexp.rundir.changes import FIXED, FREE, is_below
from aiexp.rundir.file import CHECKPOINTS, STATUS, STORED
from aiexp.rundir.named import LATEST, known_names, named
from aiexp.rundir.state import COMPLETE
from aiexp.storage.mark import is_run_directory
from aiexp.storage.reader import read_bytes

MOST = 10  # ids offered before one is begun
_BELOW = ("*/status.json", "*/*/status.json", "*/*/*/status.json")
_STEP = re.compile(r"step-0*(\d+)")


def run_words(word: str, *, is_to_resume: bool = False, has_sweeps: bool = True) -> Found:
    """What names a run: `latest` and ids, the newest first, then folders.

    Args:
        word: What is typed of it.
        is_to_resume: Leave out ids of runs that are complete.
        has_sweeps: Whether sweeps may be named, too.
    """
    found: Found = {}
    for name, path in known_names().items() if "/" not in word else ():
        if len(found) > MOST and not word:
            break
        if not name.startswith(word) or (name != LATEST and is_to_resume and _state(path) in COMPLETE):
            continue
        if has_sweeps or (path / STATUS).exists():
            found[name] = path
    return found | folders(word)


def folders(word: str) -> Found:
    """Folders on the way to run directories, and those themselves, below what is typed."""
    start = word.rpartition("/")[0]
    parent = Path(start or ("/" if word.startswith("/") else "."))
    prefix = f"{start}/" if start or word.startswith("/") else ""
    found: Found = {}
    for path in sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []:
        if is_run_directory(path):
            found[f"{prefix}{path.name}"] = path
        elif not path.name.startswith(".") and any(any(path.glob(p)) for p in _BELOW):
            found[f"{prefix}{path.name}/"] = "runs"
    return found


def files(word: str) -> Found:
    """Files and folders below what is typed."""
    start, slash, _ = word.rpartition("/")
    parent = Path(start or ("/" if slash else "."))
    found: Found = {}
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        if path.name[0] != "." or word.rpartition("/")[2].startswith("."):
            found[f"{start}{slash}{path.name}{'/' if path.is_dir() else ''}"] = ""
    return found


def told(path: Path) -> str:
    """What a run is: task, state, result, what was changed; of a sweep its jobs."""
    from aiexp.rundir.lock import actual_state
    from aiexp.rundir.record import read_record
    from aiexp.runs.listing import Row, changed, headline, result

    if not is_run_directory(path):
        jobs = sum(is_run_directory(job) for job in path.glob("*/"))
        return f"{path.parent.name}, sweep of {jobs} job{'s' * (jobs != 1)}"
    record = read_record(path.resolve())
    row = Row(record=record, state=actual_state(record), started=0, metric=headline(record), size=0)
    return ", ".join(filter(None, (record.task, row.state, result(row), changed(record))))


def _state(path: Path) -> str:
    """What status.json says; empty where there is none, as in a sweep."""
    try:
        return str(json.loads(read_bytes(path / STATUS, STORED[STATUS].most_bytes)).get("state", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def first_run(words: Iterable[str]) -> Path | None:
    """The run that one of the words names."""
    for word in words:
        try:
            path = named(word)
        except AiexpError:
            continue
        if is_run_directory(path):
            return path
    return None


def keys_of_run(command: str, path: Path, word: str, dirs: ConfDirs) -> Found:
    """KEY=VALUE of a run's config, those that a command may change.

    Args:
        command: `resume`, `branch` or `evaluate`.
        path: The run's directory.
        word: What is typed.
        dirs: Where the comments of its keys stand.
    """
    from aiexp.config.described.beside import comments_for
    from aiexp.rundir.record import read_record

    record = read_record(path.resolve())
    name, equals, value = word.partition("=")
    if equals:
        return assigned(name, value, record.config)
    kept = {key: value for key, value in record.config.items() if _may_change(command, key)}
    return next_parts(Sketch(values=kept, comments=comments_for(record.choices, dirs)), word)


def _may_change(command: str, key: str) -> bool:
    """Whether a command may change a key at all; it checks the rest itself."""
    if command == "resume":
        return is_below(key, FREE)
    return command != "branch" or not is_below(key, FIXED)


def steps(path: Path) -> Found:
    """The steps of a run's checkpoints, the last first."""
    names = sorted((p.name for p in (path / CHECKPOINTS).glob("step-*")), reverse=True)
    return {match[1]: "" for name in names if (match := _STEP.fullmatch(name))}
