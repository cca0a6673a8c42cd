"""What a tracker is told of a run, put together from its run directory."""

import uuid
from typing import Any

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import ENVIRONMENT
from aiexp.rundir.record import lineage
from aiexp.tracker.base import RunInfo, telling, telling_name


def describe_run(
    directory: RunDirectory, config: dict[str, Any], described: dict[str, Any], log_bytes: int
) -> RunInfo:
    """What a tracker may know; its id is on disk then, so that a kill while it starts makes no second run.

    Args:
        directory: The run directory.
        config: Resolved, secrets masked.
        described: What the task says of itself.
        log_bytes: See `RunInfo`.
    """
    choices, overrides = directory.read_typed()
    environment = directory.read_json(ENVIRONMENT)
    known = environment.get("run_id")
    run_id = known or uuid.uuid4().hex[:10]
    directory.write_environment(run_id=run_id)
    return RunInfo(
        directory=directory.path,
        id=run_id,
        task=choices["task"],
        name=telling_name(choices["task"], environment.get("differs", overrides)),
        group=environment.get("sweep"),
        differs=telling(environment.get("differs", [])),
        tags=[choices[group] for group in ("task", "model", "dataset") if group in choices],
        config=config | described | lineage(environment),
        previous={"id": known} if known else None,
        environment=environment,
        log_bytes=log_bytes,
    )
