"""Where W&B files a run and under which names; what the config leaves open W&B's own variables say."""

import os
from typing import Annotated, Any, TypedDict, get_args

from aiexp.errors import ConfigError
from aiexp.ranges import Lacks, Length, Range
from aiexp.text.secrets import redact_text
from aiexp.tracker.base import RunInfo, clipped

ORIGIN = "aiexp"  # key of W&B's config, of what leads back to the run directory
MAX_NAME_CHARACTERS, MAX_TAG_CHARACTERS = 128, 64  # the server refuses longer ones

# What W&B's client refuses, which would else be found out once everything is built.
Place = Annotated[str, Length("[1, 128]"), Lacks("/\\#?%:")]
Tag = Annotated[str, Length("[1, 64]")]


class Filing(TypedDict):
    """Where W&B files a run; None is what a variable says, else what is said here.

    Args:
        project: W&B project; None is WANDB_PROJECT, else "aiexp".
        entity: W&B user or team; None is WANDB_ENTITY, else the account's default.
        name: Name shown in W&B, in a sweep followed by what differs; None is WANDB_NAME, else the task
            and the overrides.
        group: Runs that W&B shows together; None is WANDB_RUN_GROUP, else the sweep.
        job_type: Kind of run within a group; None is WANDB_JOB_TYPE, else the task.
        notes: A text shown beside the name; None is WANDB_NOTES.
        tags: Tags beside the task, model and dataset; [] are WANDB_TAGS.
    """

    project: Place | None
    entity: Place | None
    name: str | None
    group: str | None
    job_type: str | None
    notes: str | None
    tags: list[Tag]


def check_variables() -> None:
    """Refuses variables that W&B's client would refuse.

    Raises:
        ConfigError: one of them holds what is no name of a project, an entity or a tag.
    """
    _check("WANDB_PROJECT", [os.environ.get("WANDB_PROJECT", "")], Place)
    _check("WANDB_ENTITY", [os.environ.get("WANDB_ENTITY", "")], Place)
    _check("WANDB_TAGS", _variable_tags(), Tag)


def _check(variable: str, values: list[str], kind: Any) -> None:
    rules: list[Range] = [*get_args(kind)[1:]]
    for value in values:
        if value and not all(rule.allows(value) for rule in rules):  # pyright: ignore[reportArgumentType]
            what = f"'{value}' is not text {' '.join(map(str, rules))}"
            raise ConfigError(what, where=f"environment variable {variable}", fix="W&B takes no other")


def _variable_tags() -> list[str]:
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def filed(given: Filing, run: RunInfo) -> dict[str, Any]:
    """Arguments of `wandb.init` that say where the run is filed, secrets masked.

    Args:
        given: What the config says.
        run: The run; where it was filed before it stays.
    """
    previous = run.previous or {}
    sweep = os.environ.get("WANDB_SWEEP_ID")  # then W&B's agent has chosen id and project
    project = previous.get("project") or given["project"] or os.environ.get("WANDB_PROJECT") or "aiexp"
    group = given["group"] or os.environ.get("WANDB_RUN_GROUP") or run.group or sweep
    job_type = given["job_type"] or os.environ.get("WANDB_JOB_TYPE") or run.task
    notes = given["notes"] or os.environ.get("WANDB_NOTES")
    tags = [*run.tags, *(given["tags"] or _variable_tags())]
    return {
        "id": None if sweep else previous.get("id") or run.id,
        "resume": "allow" if previous.get("id") and not sweep else None,
        "project": None if sweep else project,
        "entity": None if sweep else previous.get("entity") or given["entity"],
        "name": clipped(
            redact_text(run.called(given["name"] or os.environ.get("WANDB_NAME"))), MAX_NAME_CHARACTERS
        ),
        "group": redact_text(group)[:MAX_NAME_CHARACTERS] if group else None,
        "job_type": redact_text(job_type)[:MAX_TAG_CHARACTERS],
        "notes": redact_text(notes) if notes else None,
        "tags": list(dict.fromkeys(redact_text(tag)[:MAX_TAG_CHARACTERS] for tag in tags if tag)),
    }
