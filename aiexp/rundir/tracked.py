"""What trackers wrote down of a run in environment.json: by the names of their options."""

from typing import Any, cast


def tracked(environment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each tracker's record; earlier runs, which had one tracker, hold its record alone."""
    found: dict[str, Any] = environment.get("tracker") or {}
    if all(isinstance(record, dict) for record in found.values()):
        return cast(dict[str, dict[str, Any]], found)
    return {"tensorboard" if found.get("mode") == "tensorboard" else "wandb": found}
