"""`ledger.jsonl`: what happened to every job of a sweep, one durable line an event, only ever appended to.

{"event": "planned", "job": 0, "overrides": ["seed=0"], "config": "<sha256 of its resolved config>"}
{"event": "started", "job": 0, "directory": "<name of its run directory>", "pid": 1234, "time": ...}
{"event": "ended", "job": 0, "exit_code": 0, "state": "finished", "seconds": 2.1, "metrics": {...}, ...}

A job writes its own lines, whichever launcher and machine runs it; for one that died the sweep does.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from aiexp.config.folders import shown
from aiexp.errors import CheckpointError, SecurityError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import STATUS, read_or_empty
from aiexp.rundir.state import COMPLETE, State
from aiexp.storage.files import storage_errors
from aiexp.storage.shape import fields, list_of, text, whole
from aiexp.sweep.result import Result
from aiexp.text.secrets import redact

# The shape of a line; `ended` has that of a result besides.
EVENT = fields({"event": text, "job": whole(0)}, overrides=list_of(text), config=text, directory=text)


@final
@dataclass
class Entry:
    """What the ledger says of one job.

    Args:
        overrides: What distinguishes it.
        config: sha256 of its resolved config, secrets masked.
        directory: Name of its run directory; empty before its first start.
        result: How its last attempt ended; None before that.
    """

    overrides: list[str]
    config: str
    directory: str = ""
    result: Result | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it need not run again."""
        return self.result is not None and self.result.exit_code == 0


@final
class Ledger:
    """The ledger of one sweep.

    Args:
        sweep: The sweep directory.
    """

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep
        self.path = sweep / "ledger.jsonl"

    def plan(self, jobs: Iterable[tuple[int, list[str], str]]) -> int:
        """Records jobs that it does not know yet; returns how many of all are complete.

        Args:
            jobs: Number, own overrides, and hash of the config.

        Raises:
            CheckpointError: a job it knows is another one now.
        """
        known, new = self.entries(), list[dict[str, Any]]()
        for index, overrides, config in jobs:
            entry = known.get(index)
            if entry is None:
                new.append({"event": "planned", "job": index, "overrides": overrides, "config": config})
                if directory := self._forgotten(index, config):
                    new.append({"event": "started", "job": index, "directory": directory})
            elif (entry.overrides, entry.config) != (overrides, config):
                what = f"job {index} is not what it was when the sweep was started"
                if entry.overrides != overrides:
                    what += f": {' '.join(entry.overrides)} -> {' '.join(overrides)}"
                fix = "restore the files of conf/, or start a new sweep"
                raise CheckpointError(what, where=" ".join(overrides), fix=fix)
        if new:
            self._append(new)
            known = self.entries()
        return sum(entry.is_complete for entry in known.values())

    def start(self, index: int, directory: str) -> None:
        """A job starts, or goes on, in a run directory that may not be there yet."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._append(
            [{"event": "started", "job": index, "directory": directory, "pid": os.getpid(), "time": now}]
        )

    def end(self, result: Result) -> None:
        """A job has ended."""
        self._append([{"event": "ended", "job": result.index, **result.record()}])

    def _append(self, events: list[dict[str, Any]]) -> None:
        """Writes lines at once and waits until they are on the disk."""
        text = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events)
        with storage_errors("writing the ledger", self.path), self.path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                text = "\n" + text  # the line before is torn: a machine went down in the middle of it
            file.write(text.encode())
            os.fsync(file.fileno())

    def entries(self) -> dict[int, Entry]:
        """Every job by its number; lines that are torn are passed over.

        Raises:
            SecurityError: a run directory is named that lies elsewhere: the jobs would write there.
        """
        entries: dict[int, Entry] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        for line in lines:
            try:
                event = json.loads(line)
                EVENT(event, "")
                index = event["job"]
                self._check_name(event.get("directory", ""))
                if event["event"] == "planned":
                    entries.setdefault(index, Entry(event["overrides"], event["config"]))
                elif event["event"] == "started":
                    entries[index].directory, entries[index].result = event["directory"], None
                else:
                    entries[index].result = Result.from_record(event)
            except (ValueError, KeyError, RecursionError):
                continue
        for index, entry in entries.items():
            if not entry.is_complete:
                entry.result = self._finished(index, entry) or entry.result
        return entries

    def _forgotten(self, index: int, config: str) -> str:
        """Name of the run directory of a job whose lines the ledger has lost (it was emptied); else empty."""
        for path in sorted(self.sweep.glob(f"*_{index:03d}_*/config.yaml"), reverse=True):
            with suppress(CheckpointError):
                if hash_config(RunDirectory(path.parent).read_config()) == config:
                    return path.parent.name
        return ""

    def _check_name(self, directory: str) -> None:
        if directory and (os.path.basename(directory) != directory or directory.strip(".") == ""):
            what = f"a job's directory {directory!r} is refused: it does not lie in the sweep's"
            raise SecurityError(what, where=shown(self.path), fix="start a new sweep")

    def _finished(self, index: int, entry: Entry) -> Result | None:
        """The result of a run that finished, though nobody was left to write it here."""
        if not entry.directory:
            return None
        status = read_or_empty(self.sweep / entry.directory / STATUS)
        if status.get("state") not in COMPLETE:
            return None
        return Result(
            index=index,
            exit_code=0,
            overrides=entry.overrides,
            state=State(status["state"]),
            metrics=status.get("metrics") or {},
            seconds=status.get("seconds") or 0.0,
            directory=entry.directory,
        )

    def completed(self, index: int) -> Result | None:
        """The result of a job that need not run again."""
        entry = self.entries().get(index)
        return entry.result if entry and entry.is_complete else None

    @contextmanager
    def claim(self, index: int) -> Generator[None]:
        """Holds a job for this process; waits for another one, left over from a killed sweep, to end."""
        with (self.sweep / ".jobs").open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX, 1, index)  # the byte with the job's number; not inherited
            yield


def hash_config(config: dict[str, Any]) -> str:
    """sha256 of a resolved config, without keys that name secrets: they may be renewed."""
    plain = redact(config, {})
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()
