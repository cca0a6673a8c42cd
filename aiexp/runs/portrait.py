"""One run in full, as lines for a terminal: how it ended, what it depends on, what to type next."""

import os
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from aiexp.checkpoint.manifest import saved_steps
from aiexp.config.folders import shown
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, ENVIRONMENT, FIGURES, GIT_DIFF, STATUS
from aiexp.rundir.lock import actual_state
from aiexp.rundir.named import short_name
from aiexp.rundir.record import RunRecord, read_record
from aiexp.rundir.state import State
from aiexp.rundir.tracked import tracked
from aiexp.runs.disk import disk_bytes
from aiexp.runs.listing import PREFIX, STATE_STYLES, started_at
from aiexp.session.closing import result_table
from aiexp.text.number import duration, file_size
from aiexp.text.terminal import resume_command

Styled = tuple[str, str]
LABEL = 12  # columns
MOST_FIGURES = 6
USEFUL = (State.FINISHED, State.PRUNED)
RESUMABLE = (State.STOPPED, State.DIED, State.FAILED)


def portrait(path: Path) -> list[Styled]:
    """Lines with their styles.

    Args:
        path: A run directory, or what else names a run.

    Raises:
        CheckpointError: there is no such run.
    """
    directory = RunDirectory.open(path)
    record = read_record(directory.path)
    state = actual_state(record)
    environment, status = directory.read_json(ENVIRONMENT), directory.read_json(STATUS)
    head = f"{record.task}  {short_name(directory.path)}  {state}"
    ago = f"begun {duration(time.time() - started_at(record))} ago"
    worked = "" if record.seconds is None else f", {duration(record.seconds)} of work"
    lines: list[Styled] = [(head, STATE_STYLES.get(state, "bold")), (f"{ago}{worked}", "dim")]
    if record.problem and state not in USEFUL:
        lines += [("", ""), (PREFIX.sub("", record.problem), "red")]
    if table := result_table(record.metrics):
        lines += [("", ""), *((line, "") for line in table)]
    notes = record.notes
    parts = {
        "title": [notes.title],
        "tags": [" ".join(notes.tags)],
        "note": notes.note.splitlines(),
        "typed": [shlex.join(record.overrides)] if record.overrides else ["nothing"],
        "choices": [" ".join(f"{group}={name}" for group, name in record.choices.items())],
        "steps": _steps(record, status),
        "began with": _origins(environment),
        "data": _data(environment),
        "hardware": _hardware(record, environment),
        "code": _code(directory.path, environment),
        "tracker": _tracker(environment),
        "run": [shown(directory.path) + f"  ({file_size(disk_bytes([directory.path]))})"],
        "in it": _inside(directory.path),
        "next": _next(directory.path, state),
    }
    lines += [("", "")]
    for label, values in parts.items():
        lines += [
            (f"{'' if i else label:<{LABEL}}{value}", "") for i, value in enumerate(filter(None, values))
        ]
    return lines


def _steps(record: RunRecord, status: dict[str, Any]) -> list[str]:
    best = f", the best was {status['best_step']}" if status.get("best_step") is not None else ""
    total = f" of {record.total_steps:,}" if record.total_steps else ""
    return [f"{record.step:,}{total}{best}"] if record.step or total else []


def _origins(environment: dict[str, Any]) -> list[str]:
    """The run it branched off from, and those whose weights it took."""
    parent = cast(dict[str, Any], environment.get("parent") or {})
    found = [f"{parent.get('path')} at step {parent.get('step')}"] if parent else []
    found += [f"  {change}" for change in cast(list[str], parent.get("history") or [])]
    for source in cast(list[dict[str, Any]], environment.get("started_from") or []):
        found.append(f"{source.get('path')} at step {source.get('step')}, {source.get('taken')} weights")
    return found


def _data(environment: dict[str, Any]) -> list[str]:
    dataset = cast(dict[str, Any], environment.get("dataset") or {})
    examples = cast(dict[str, int], dataset.get("examples") or {})
    return [", ".join(f"{count:,} {split}" for split, count in examples.items())]


def _hardware(record: RunRecord, environment: dict[str, Any]) -> list[str]:
    facts = [str(record.hardware.get(name)) for name in ("device", "precision") if record.hardware.get(name)]
    if threads := record.hardware.get("threads"):
        facts.append(f"{threads} thread{'s' * (threads != 1)}")
    if record.peak_memory_bytes:
        facts.append(f"{file_size(record.peak_memory_bytes)} of memory")
    count = environment.get("parameters")
    size = [f"{count:,} parameters"] if isinstance(count, int) else []
    host = environment.get("hostname")
    return [", ".join([*facts, *size]), f"on {host}" if host else ""]


def _code(path: Path, environment: dict[str, Any]) -> list[str]:
    git = cast(dict[str, Any], environment.get("git") or {})
    changed = f", changed since: {GIT_DIFF}" if (path / GIT_DIFF).exists() and git.get("status") else ""
    commit = [f"commit {str(git.get('commit'))[:10]}{changed}"] if git.get("commit") else []
    packages = cast(dict[str, str], environment.get("packages") or {})
    versions = [f"{name} {packages[name]}" for name in ("torch", "transformers") if name in packages]
    aiexp = [f"aiexp {environment['aiexp']}"] if "aiexp" in environment else []
    return [*commit, ", ".join([*aiexp, *versions])]


def _tracker(environment: dict[str, Any]) -> list[str]:
    """What each needs to go on, which names the run there."""
    return [
        f"{label}: "
        + ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int))
        for label, facts in tracked(environment).items()
    ]


def _inside(path: Path) -> list[str]:
    """Files one may want to open."""
    figures = sorted(p.name for p in (path / FIGURES).glob("*") if p.is_file())
    more = f" and {len(figures) - MOST_FIGURES} more" if len(figures) > MOST_FIGURES else ""
    shown_figures = [f"{FIGURES}/: {', '.join(figures[:MOST_FIGURES])}{more}"] if figures else []
    steps = ", ".join(map(str, saved_steps(path / CHECKPOINTS)))
    return [*shown_figures, f"{CHECKPOINTS}/ of steps {steps}" if steps else ""]


def _next(path: Path, state: State) -> Iterable[str]:
    run = shlex.quote(short_name(path))
    if state in USEFUL:
        return [f"aiexp predict {run} ...", f"aiexp evaluate {run}"]
    return [resume_command(os.path.relpath(path))] if state in RESUMABLE else []
