"""Runs of Weights & Biases as records, through its public API."""

import os
from pathlib import Path
from typing import Any

from aiexp.config.dotted import flatten
from aiexp.errors import ConfigError, DataError, HardwareError, reason_of
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import WRITTEN, State
from aiexp.tracker.wandb.filing import ORIGIN
from aiexp.tracker.wandb.server import connection_problem

PROBE_SECONDS = 5.0
API_SECONDS = 30
# What W&B calls the state of a run, in our words.
STATES = {
    "crashed": State.FAILED,
    "killed": State.STOPPED,
    "preempted": State.STOPPED,
    "preempting": State.STOPPED,
    "pending": State.STARTING,
}


def fetch_runs(address: str) -> list[RunRecord]:
    """The runs of a project, or of one of its groups (our sweeps).

    Args:
        address: entity/project, or entity/project/group.

    Raises:
        ConfigError: the address is neither.
        HardwareError: W&B cannot be asked: no key, or no server.
        DataError: there is no such project, or it has no such runs.
    """
    parts = address.strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigError(
            f"'{address}' is no address of W&B runs",
            where="--wandb",
            fix="ENTITY/PROJECT or ENTITY/PROJECT/GROUP",
        )
    entity, project, *group = parts
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # no telemetry behind the user's back
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    if problem := connection_problem(wandb.setup().settings, PROBE_SECONDS):
        raise HardwareError(problem, where="--wandb", fix="wandb login, or compare the folders of the runs")
    filters = {"group": group[0]} if group else {}
    try:
        runs = wandb.Api(timeout=API_SECONDS).runs(
            f"{entity}/{project}", filters=filters, per_page=500, lazy=False
        )
        records = [_record(run) for run in runs if not group or run.group == group[0]]
    except (wandb.Error, ValueError) as error:
        raise DataError(reason_of(error), where=f"--wandb {address}") from error
    if not records:
        raise DataError(
            "no runs found", where=f"--wandb {address}", fix="the W&B page of a run names its group"
        )
    return records


def _record(run: Any) -> RunRecord:
    """One run; a number that JSON does not have comes as text."""
    sent: dict[str, Any] = {k: v for k, v in dict(run.config).items() if not k.startswith("_")}
    origin: dict[str, Any] = sent.pop(ORIGIN, None) or {}  # of earlier runs there is none
    config = flatten(sent)
    summary: dict[str, Any] = flatten(dict(run.summary))
    seconds = summary.get("_wandb.runtime", summary.get("_runtime"))
    seed = config.get("seed")
    numbers = {k: v for k, v in summary.items() if not k.startswith(("_", "best/")) and k != "step"}
    return RunRecord(
        path=Path(str(run.url)),
        name=str(run.name),
        task=str(origin.get("task") or run.job_type or run.project),
        config=config,
        state=_state(str(run.state)),
        metrics={k: number for k, v in numbers.items() if (number := _number(v)) is not None},
        seconds=_number(seconds),
        started=str(run.created_at),
        sweep=Path(run.group) if run.group else None,
        seed=seed if isinstance(seed, int) else None,
    )


def _state(name: str) -> State:
    """Our word for a state of W&B."""
    return STATES.get(name) or (State(name) if name in WRITTEN else State.DAMAGED)


def _number(value: object) -> float | None:
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
