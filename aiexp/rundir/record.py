"""What is kept of a run for comparing it: read from its directory, whatever state that is in.

Damaged, running and foreign folders are no errors here: a run that cannot be read has state "damaged" and
says why, a folder that is no run is passed over.
"""

import hashlib
import math
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiexp.config.dotted import flatten
from aiexp.errors import CheckpointError
from aiexp.rundir.code.record import code_digest
from aiexp.rundir.file import (
    CHECKPOINTS,
    CONFIG,
    ENVIRONMENT,
    FIGURES,
    FLAT,
    METRICS,
    STATUS,
    STORED,
    TYPED,
    read_or_empty,
    read_stored,
)
from aiexp.rundir.metrics import last_metrics
from aiexp.rundir.notes import NONE, Notes, read_notes
from aiexp.rundir.seal import check_seal
from aiexp.rundir.state import State
from aiexp.storage.mark import is_run_directory
from aiexp.storage.reader import read_bytes

NEVER_RUNS = (CHECKPOINTS, FIGURES, "wandb", "logs")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run.

    Args:
        path: Its directory; for a run of W&B its address.
        name: The directory's name, or W&B's.
        task: The option of the group task.
        choices: Option chosen for each group.
        overrides: What was typed.
        config: Flat dotted keys.
        state: What status.json says, or DAMAGED.
        metrics: The final value of each metric; for a run under way the last one logged.
        step: How many it has taken, as far as its files say.
        total_steps: How many it is to take; None before it knows.
        seconds: How long it worked, with what came before it was resumed.
        peak_memory_bytes: Of its process, not of a GPU.
        started: ISO 8601.
        sweep: The sweep directory it belongs to.
        seed: `seed` of its config.
        better: Which way each metric is better, as far as the task says it.
        hardware: What environment.json says of it: device, threads, ...
        code: Digest of the user's own code that it ran; empty for none.
        notes: What people say of it.
        problem: Why it cannot be read, when it is damaged; else its error, if it ended with one.
    """

    path: Path
    name: str
    task: str
    choices: dict[str, str] = field(default_factory=lambda: {})
    overrides: list[str] = field(default_factory=lambda: [])
    config: dict[str, Any] = field(default_factory=lambda: {})
    state: State
    metrics: dict[str, float] = field(default_factory=lambda: {})
    step: int = 0
    total_steps: int | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    started: str | None = None
    sweep: Path | None = None
    seed: int | None = None
    better: dict[str, str] = field(default_factory=lambda: {})
    hardware: dict[str, Any] = field(default_factory=lambda: {})
    code: str = ""
    notes: Notes = NONE
    problem: str = ""

    @property
    def seconds_left(self) -> float | None:
        """How long its steps will still take, by the last ones; None where that is not known."""
        if not self.total_steps:
            return None
        left = (self.total_steps - self.step) * self.metrics.get("time/step_seconds", math.nan)
        return max(left, 0.0) if math.isfinite(left) else None


def find_runs(paths: Iterable[Path], *, is_sealed: bool = False) -> list[RunRecord]:
    """Every run in or below `paths`, each once, ordered by path.

    Args:
        paths: Runs, sweeps, or any folder above them; those that do not exist are passed over.
        is_sealed: Whether complete runs must be as they were sealed; else they are damaged.
    """
    found = {directory for path in paths for directory in run_directories(Path(os.path.realpath(path)))}
    return [read_record(directory, is_sealed=is_sealed) for directory in sorted(found)]


def run_directories(path: Path, known: Container[str] = ()) -> Iterator[Path]:
    """The run directories in or below a folder; links are not followed, so that `latest` is no second run.

    Args:
        path: The folder.
        known: Run directories that are not looked into again, nor given.
    """
    try:
        with os.scandir(path) as entries:
            children = list(entries)
    except OSError:
        return
    names = {entry.name for entry in children}
    if is_run_directory(path, names):
        yield path
        return
    for entry in children:
        if entry.path in known or entry.name in NEVER_RUNS or entry.name[0] == ".":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from run_directories(path / entry.name, known)


def read_record(path: Path, *, is_sealed: bool = False) -> RunRecord:
    """A run directory; one that cannot be read, or is not as it was sealed, has state DAMAGED."""
    sweep = path.parent if _is_sweep(path.parent) else None
    try:
        config, choices, overrides = _read_config(path)
        status = {k: v for k, v in read_stored(path / STATUS).items() if v is not None}
        if "state" not in status:
            raise CheckpointError(f"{STATUS} says no state")
        if is_sealed:
            check_seal(path, status)
    except CheckpointError as error:
        return RunRecord(
            path=path, name=path.name, task=_task_of(path, sweep), state=State.DAMAGED, sweep=sweep,
            notes=read_notes(path), problem=error.what,
        )  # fmt: skip
    environment = read_or_empty(path / ENVIRONMENT)
    config |= lineage(environment)
    seed, seconds = config.get("seed"), status.get("seconds")
    metrics = status.get("metrics") or last_metrics(path / METRICS)
    step = max(int(metrics.pop("step", 0)), status.get("step", 0))
    return RunRecord(
        path=path,
        name=path.name,
        task=choices.get("task") or _task_of(path, sweep),
        choices=choices,
        overrides=overrides,
        config=config,
        state=State(status["state"]),
        metrics={name: float(value) for name, value in metrics.items()},
        step=step,
        total_steps=status.get("total_steps"),
        seconds=float(seconds) if seconds is not None and math.isfinite(seconds) else None,
        peak_memory_bytes=status.get("peak_memory_bytes") or None,
        started=status.get("started") or None,
        sweep=sweep,
        seed=seed if isinstance(seed, int) else None,
        better=status.get("better", {}),
        hardware=environment.get("hardware") or {},
        code=code_digest(path),
        notes=read_notes(path),
        problem=status.get("error", ""),
    )


def lineage(environment: Mapping[str, Any]) -> dict[str, str]:
    """What a run's config does not say of how it was trained: as a key of it, for runs that branched off.

    Args:
        environment: Content of its environment.json.
    """
    history: list[str] = (environment.get("parent") or {}).get("history") or []
    return {"branched": "; ".join(map(str, history))} if history else {}


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """A run's config with dotted keys, its choices and overrides.

    They are in config.json, which is read in no time, unless the files that it was made of have changed:
    YAML takes a millisecond, and so a second for a thousand runs.

    Raises:
        CheckpointError: config.yaml is missing or damaged; overrides.yaml may be.
    """
    flat = read_or_empty(path / FLAT)
    if flat and all(_digest(path / name) == flat["made_of"].get(name) for name in (CONFIG, TYPED)):
        found, typed = flat.get("config") or {}, flat
    else:
        found, typed = flatten(read_stored(path / CONFIG)), read_or_empty(path / TYPED)
    if not found:
        raise CheckpointError(f"{CONFIG} is empty")
    choices = {group: str(option) for group, option in typed.get("choices", {}).items()}
    return found, choices, typed.get("overrides", [])


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path, STORED[path.name].most_bytes)).hexdigest()
    except (OSError, ValueError):
        return ""


def _is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's: by its name, which costs no look at the disk."""
    return "_sweep_" in path.name


def _task_of(path: Path, sweep: Path | None) -> str:
    """The task by the folder's place: outputs/<task>/[<sweep>/]<run>."""
    return (sweep or path).parent.name
