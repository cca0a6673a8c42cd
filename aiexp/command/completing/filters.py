"""Words that ask of the runs there are: filters of `aiexp runs`, metrics, keys to group by."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from aiexp.command.completing import Found
from aiexp.command.completing.overrides import next_parts, swept
from aiexp.config.described.suggest import Sketch
from aiexp.config.folders import ConfDirs
from aiexp.rundir.lock import actual_state
from aiexp.rundir.named import OUTPUTS, named
from aiexp.rundir.record import RunRecord, read_record, run_directories
from aiexp.rundir.state import State
from aiexp.runs.filter import TAG, WORD, values_of

MOST = 100  # runs that are read, the newest first
SHOWN = 6  # values in what is said of a key
_ALWAYS = {"state=": ", ".join(State), "task=": "name of a task", f"{TAG}=": "a word given in aiexp board"}


def read_runs(words: Iterable[str] = ()) -> list[RunRecord]:
    """The runs that words of a command line name, or those below outputs/.

    Args:
        words: Its words; what is no folder is passed over.
    """
    paths = [path for path in map(named, words) if path.is_dir()] or [Path(OUTPUTS)]
    found = {directory for path in paths for directory in run_directories(path.resolve())}
    newest = sorted(found, key=lambda path: path.name, reverse=True)[:MOST]
    return [record for path in newest if (record := read_record(path)).state != State.DAMAGED]


def filters(word: str, dirs: ConfDirs) -> Found:
    """Conditions of `aiexp runs`: keys of the runs, then values that these have."""
    if not word:
        return dict(_ALWAYS)
    records = read_runs()
    found = WORD.fullmatch(word)
    if found is None:
        return _ALWAYS | _keys(records, word)
    start, key = f"{found['key']}{found['sign']}", found["key"]
    values = _values(key, records)
    if key == "state":
        values = list(State)
    elif key == "task":
        values = list(dict.fromkeys([*values, *dirs.options()["task"]]))
    return dict.fromkeys(swept(start, found["value"], values), "")


def metrics(records: Sequence[RunRecord]) -> Found:
    """Names of what the runs have measured; what they are judged by first."""
    names = sorted({name for record in records for name in record.metrics})
    judged = [name for name in names if name.startswith(("test/", "eval/"))]
    return {
        name: f"in {sum(name in record.metrics for record in records)} of {len(records)} runs"
        for name in dict.fromkeys([*judged, *names])
    }


def differing(records: Sequence[RunRecord]) -> Found:
    """Groups and keys in which the runs differ, with their values."""
    keys = dict.fromkeys(key for record in records for key in (*record.choices, *record.config))
    said = {key: _values(key, records) for key in keys if not _is_inner(key)}
    return {key: _some(values) for key, values in said.items() if len(values) > 1}


def _keys(records: Sequence[RunRecord], word: str) -> Found:
    """Keys of the runs, cut after the part being typed, with their values."""
    known = dict.fromkeys(key for record in records for key in (*record.choices, *record.config))
    start = word.rpartition(".")[0]
    near = {key: "" for key in known if not start or key.startswith(f"{start}.")}
    return {
        part: _some(_values(part[:-1], records)) if part.endswith("=") else ""
        for part in next_parts(Sketch(values=near), word)
        if part.startswith(word)
    }


def _values(key: str, records: Sequence[RunRecord]) -> list[str]:
    """What a key is in the runs; texts that would have to be quoted are left out."""
    states = [actual_state(record) for record in records] if key == "state" else [""] * len(records)
    return [value for value in values_of(key, records, states) if value and not re.search(r"[\s'\",]", value)]


def _is_inner(key: str) -> bool:
    return "._" in key or key.startswith("_")


def _some(values: Sequence[str]) -> str:
    """The first values of a key."""
    return ", ".join(values[:SHOWN]) + ", ..." * (len(values) > SHOWN)
