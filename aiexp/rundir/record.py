"""What is kept of a run for comparing it: read from its directory, whatever state that is in.

Damaged, running and foreign folders are no errors here: a run that cannot be read has state "damaged" and
says why, a folder that is no run is passed over.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from aiexp.rundir.code.record import code_digest
from aiexp.rundir.flat_config import read_flat_config

FILES = ("config.yaml", "status.json")  # a run has both; one of them missing means that it is damaged
NEVER_RUNS = ("checkpoints", "figures", "wandb", "logs")


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
        state: starting, running, finished, stopped, failed, pruned, or damaged.
        metrics: The final value of each metric; for a run under way the last one logged.
        seconds: How long it worked, with what came before it was resumed.
        peak_memory_bytes: Of its process, not of a GPU.
        started: ISO 8601.
        sweep: The sweep directory it belongs to.
        seed: `seed` of its config.
        hardware: What environment.json says of it: device, threads, ...
        code: Digest of the user's own code that it ran; empty for none.
        problem: Why it cannot be read, when it is damaged; else its error, if it ended with one.
    """

    path: Path
    name: str
    task: str
    choices: dict[str, str] = field(default_factory=lambda: {})
    overrides: list[str] = field(default_factory=lambda: [])
    config: dict[str, Any] = field(default_factory=lambda: {})
    state: str
    metrics: dict[str, float] = field(default_factory=lambda: {})
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    started: str | None = None
    sweep: Path | None = None
    seed: int | None = None
    hardware: dict[str, Any] = field(default_factory=lambda: {})
    code: str = ""
    problem: str = ""


def find_runs(paths: Iterable[Path]) -> list[RunRecord]:
    """Every run in or below `paths`, each once, ordered by path.

    Args:
        paths: Runs, sweeps, or any folder above them; those that do not exist are passed over.
    """
    found = {directory for path in paths for directory in _directories(Path(os.path.realpath(path)))}
    return [read_record(directory) for directory in sorted(found)]


def _directories(path: Path) -> Iterator[Path]:
    """The run directories in or below a folder; links are not followed, so that `latest` is no second run."""
    try:
        with os.scandir(path) as entries:
            children = list(entries)
    except OSError:
        return
    names = {entry.name for entry in children}
    if _is_run(path, names):
        yield path
        return
    for entry in children:
        if entry.name not in NEVER_RUNS and entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
            yield from _directories(path / entry.name)


def _is_run(path: Path, names: set[str]) -> bool:
    """Whether a folder with these files is one of our runs, perhaps a damaged one."""
    if names.issuperset(FILES):
        return True
    if "status.json" in names:
        return "state" in _read_json(path / "status.json") or "metrics.jsonl" in names
    return "config.yaml" in names and not names.isdisjoint({"metrics.jsonl", "overrides.yaml"})


def read_record(path: Path) -> RunRecord:
    """A run directory; one that cannot be read has state "damaged"."""
    sweep = path.parent if _is_sweep(path.parent) else None
    try:
        config = _read(path / "config.yaml", read_flat_config)
        status = _read(path / "status.json", json.loads)
    except ValueError as error:
        return RunRecord(
            path=path, name=path.name, task=_task_of(path, sweep), state="damaged", sweep=sweep,
            problem=str(error),
        )  # fmt: skip
    choices, overrides = _read_typed(path / "overrides.yaml")
    seed = config.get("seed")
    metrics = _numbers(status.get("metrics")) or last_metrics(path / "metrics.jsonl")
    return RunRecord(
        path=path,
        name=path.name,
        task=choices.get("task") or _task_of(path, sweep),
        choices=choices,
        overrides=overrides,
        config=config,
        state=str(status.get("state", "damaged")),
        metrics=metrics,
        seconds=_number(status.get("seconds")),
        peak_memory_bytes=int(_number(status.get("peak_memory_bytes")) or 0) or None,
        started=str(status["started"]) if status.get("started") else None,
        sweep=sweep,
        seed=seed if isinstance(seed, int) else None,
        hardware=_read_hardware(path / "environment.json"),
        code=code_digest(path),
        problem=str(status.get("error") or ""),
    )


def curve(record: RunRecord, metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric over a run; empty where it was never logged."""
    return curves(record, [metric]).get(metric, ([], []))


def curves(record: RunRecord, metrics: Iterable[str]) -> dict[str, tuple[list[int], list[float]]]:
    """The same for several metrics, by one reading of the file; those never logged are left out."""
    names = list(metrics)
    marks = [json.dumps(name).encode() for name in names]
    found: dict[str, tuple[list[int], list[float]]] = {}
    for line in _read_lines(record.path / "metrics.jsonl", marks):
        step = line.get("step")
        for name in names:
            if name in line and isinstance(step, int):
                steps, values = found.setdefault(name, ([], []))
                steps.append(step)
                values.append(line[name])
    return found


def last_metrics(path: Path) -> dict[str, float]:
    """The last value of each metric of a metrics file."""
    last: dict[str, Any] = {}
    for line in _read_lines(path, []):
        last |= line
    last.pop("step", None)
    return _numbers(last)


def _read_lines(path: Path, marks: list[bytes]) -> list[dict[str, Any]]:
    """The lines of a metrics file that hold one of `marks`; what cannot be read is passed over."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # a last line without its end is torn
    except OSError:
        return []
    if marks:
        lines = [line for line in lines if any(mark in line for mark in marks)]
    try:
        values = json.loads(b"[" + b",".join(line for line in lines if line) + b"]")
    except ValueError:
        values = [_read_line(line) for line in lines]
    return [value for value in values if isinstance(value, dict)]


def _read_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _read_typed(path: Path) -> tuple[dict[str, str], list[str]]:
    """Choices and overrides; empty where the file is missing or damaged."""
    try:
        typed = read_flat_config(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}, []
    choices = {key.removeprefix("choices."): str(v) for key, v in typed.items() if key.startswith("choices.")}
    overrides = typed.get("overrides")
    return choices, [str(o) for o in cast(list[Any], overrides)] if isinstance(overrides, list) else []


def _read_hardware(path: Path) -> dict[str, Any]:
    """The block `hardware` of environment.json, cut out of it: the file may hold a megabyte of git diff."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    start = content.rfind(b'\n  "hardware": {')
    end = content.find(b"\n  }", start)
    if start < 0 or end < 0:
        return {}
    try:
        return cast(dict[str, Any], json.loads(content[content.index(b"{", start) : end + 4]))
    except ValueError:
        return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _read(path, json.loads)
    except ValueError:
        return {}


def _is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's: by its name, which costs no look at the disk."""
    return "_sweep_" in path.name


def _task_of(path: Path, sweep: Path | None) -> str:
    """The task by the folder's place: outputs/<task>/[<sweep>/]<run>."""
    return (sweep or path).parent.name


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _numbers(value: object) -> dict[str, float]:
    """The numbers of a mapping, NaN and infinities kept: they are results too."""
    if not isinstance(value, dict):
        return {}
    items = cast(dict[str, Any], value).items()
    return {k: float(v) for k, v in items if isinstance(v, int | float) and not isinstance(v, bool)}


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """A file that must hold a mapping.

    Raises:
        ValueError: It does not, with the reason on one line.
    """
    try:
        value = parse(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("not a mapping")
        if not value:
            raise ValueError("empty")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ValueError(f"{path.name}: {reason}") from error
    return cast(dict[str, Any], value)
