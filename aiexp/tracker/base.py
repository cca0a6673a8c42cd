"""The contract of a tracker: follows a run beside `metrics.jsonl`, which is always written."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aiexp.rundir.changes import NEUTRAL, is_below
from aiexp.task.report import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """What a tracker may know of a run.

    Args:
        directory: The run directory.
        id: Ten letters and digits that no other run has, on disk before a tracker starts.
        task: Option name of the task (`bert_finetune`): W&B job type and tag.
        name: Telling name made of the task and the overrides that differ from its defaults.
        group: Name of the sweep directory for a job of a sweep, else None.
        differs: Overrides of a job of a sweep that not all its jobs share.
        tags: Option names of task, model and dataset.
        config: The full resolved config, secrets redacted.
        previous: What `start` returned when this run directory was tracked before; only the id if the
            process was killed meanwhile; None in a new run directory.
        environment: What environment.json says of code, packages and machine, secrets redacted.
        log_bytes: Where in run.log the lines of this process begin.
    """

    directory: Path
    id: str
    task: str
    name: str
    group: str | None
    tags: list[str]
    config: dict[str, Any]
    previous: dict[str, Any] | None
    environment: dict[str, Any] = field(default_factory=lambda: {})
    log_bytes: int = 0
    differs: list[str] = field(default_factory=lambda: [])

    def origin(self) -> dict[str, Any]:
        """What leads from a tracker's page back to the run directory, on whatever machine.

        The directory is relative to the one in which the command was typed, as the command would name it.
        """
        return {
            "run_id": self.id,
            "directory": os.path.relpath(self.directory),
            "sweep": self.group,
            "task": self.task,
            "parameters": self.environment.get("parameters"),
        }

    def called(self, name: str | None) -> str:
        """What to call the run: the user's name for it, which the jobs of a sweep share, or a telling one."""
        return " ".join([name, *self.differs]) if name else self.name


@runtime_checkable
class Tracker(Protocol):
    """A follower of one run. It may fail; the run never fails with it (`aiexp.tracker.guard`)."""

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Opens the run, or continues it; returns what to record in `environment.json`.

        Such as id, url, mode; under `look` what one types to look at the run, or its address.
        """
        ...

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics with their full names (`train/loss`) at optimizer step `step`."""
        ...

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A PNG or GIF file of the run directory."""
        ...

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table."""
        ...

    def close(self, exit_code: int) -> None:
        """Ends the run; bounded in time. Without a `start`: undoes what `prepare` has done."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A tracker that has something to do while data and model are built."""

    def prepare(self, directory: Path) -> None:
        """Imports what `start` needs, starts processes of its own; makes no run yet. In a thread of its own.

        Args:
            directory: The run directory.
        """
        ...


def telling_name(task: str, overrides: list[str]) -> str:
    """The task and what was changed, or in a sweep what differs from the other jobs."""
    return " ".join([task, *(o for o in telling(overrides) if not o.startswith("task="))])


def telling(overrides: list[str]) -> list[str]:
    """Without what is of no account for the result, such as the tracker."""
    return [o for o in overrides if not is_below(o.partition("=")[0].lstrip("+~"), NEUTRAL)]


def clipped(text: str, most: int) -> str:
    """A text of at most `most` characters, cut between words."""
    if len(text) <= most:
        return text
    end = " ..."
    whole = text[: most - len(end) + 1].rpartition(" ")[0].rstrip()
    return (whole or text[: most - len(end)]) + end
