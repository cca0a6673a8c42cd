"""A run's config and circumstances as MLflow takes them: flat texts of limited length."""

import re
from typing import Any

from aiexp.config.dotted import flatten
from aiexp.text.secrets import redact_text
from aiexp.tracker.base import RunInfo
from aiexp.tracker.recorded import Part, remote_address

# The server refuses longer ones, older servers longer ones than these.
MOST_KEY, MOST_VALUE, MOST_TAG = 250, 500, 5000
REFUSED = re.compile(r"[^\w\-./ ]")  # in names of metrics and params
RUN_ID = "aiexp.run_id"


def name_of(text: str) -> str:
    """A name that MLflow accepts."""
    return REFUSED.sub("_", text)[:MOST_KEY]


def params_of(config: dict[str, Any]) -> dict[str, str]:
    """Dotted keys of a config and their values as texts."""
    return {name_of(key): _text(value)[:MOST_VALUE] for key, value in flatten(config).items()}


def tags_of(run: RunInfo, notes: str | None, tags: dict[str, str], record: list[Part]) -> dict[str, str]:
    """What is known of a run beside its config, under MLflow's own names where it has them.

    Args:
        run: The run.
        notes: A text for its page.
        tags: The user's.
        record: What is sent.
    """
    known = run.environment
    found: dict[str, Any] = {RUN_ID: run.id, "aiexp.task": run.task, "aiexp.sweep": run.group}
    found["aiexp.run"] = str(run.directory)
    found["mlflow.note.content"] = notes
    if "command" in record:
        found |= {"mlflow.source.name": known.get("command"), "mlflow.source.type": "LOCAL"}
        found |= {f"aiexp.{key}": known.get(key) for key in ("hostname", "python", "platform")}
    commit = (known.get("git") or {}).get("commit")
    if "git" in record and commit:
        found |= {"mlflow.source.git.commit": commit, "mlflow.source.git.repoURL": remote_address(run)}
    found |= tags
    return {name_of(key): redact_text(str(v))[:MOST_TAG] for key, v in found.items() if v is not None}


def _text(value: Any) -> str:
    """A value as it would be typed."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
