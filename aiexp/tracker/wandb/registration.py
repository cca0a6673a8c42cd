"""Registering a sweep with the W&B server, whose agents then start the runs."""

import contextlib
import io
import os
import warnings
from typing import Any

from aiexp.errors import HardwareError, reason_of
from aiexp.tracker.wandb.server import connection_problem

PROBE_SECONDS = 5.0


def register_sweep(document: dict[str, Any]) -> str:
    """Registers a sweep; returns its full name, `entity/project/id`.

    Args:
        document: The sweep file.

    Raises:
        HardwareError: the server cannot be used, or refuses the sweep.
    """
    import wandb

    fix = "`wandb login`, check the network; for a search without a server: aiexp run -m hydra/sweeper=optuna"
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # no telemetry behind the user's back
    settings = wandb.setup(wandb.Settings(silent=True)).settings
    problem = "WANDB_MODE is offline" if settings.mode in ("offline", "dryrun", "disabled") else None
    problem = problem or connection_problem(settings, PROBE_SECONDS)
    if problem is not None:
        raise HardwareError(f"a W&B sweep needs its server, but {problem}", where="aiexp sweep", fix=fix)
    project = document.get("project") or os.environ.get("WANDB_PROJECT") or "aiexp"
    entity = document.get("entity") or os.environ.get("WANDB_ENTITY")
    try:
        # It prints its own lines, and calls what it has deprecated itself.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            name = wandb.sweep(document, entity=entity, project=project)
            api = wandb.Api()
            entity = entity or api.settings["entity"] or api.default_entity
    except Exception as error:
        raise HardwareError(
            f"W&B did not take the sweep: {reason_of(error)}", where="aiexp sweep", fix=fix
        ) from error
    return f"{entity}/{project}/{name}"
