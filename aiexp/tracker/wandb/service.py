"""The process that wandb starts for itself: what it says, and how to be rid of it when it hangs."""

import contextlib
import importlib
import logging
import re
from typing import Any, final

from aiexp.tracker.notice import notice

logger = logging.getLogger(__name__)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@final
class Messages:
    """What wandb would print: kept out of the terminal, watched for the end of uploading."""

    def __init__(self) -> None:
        self.is_incomplete = False

    def info(self, msg: str) -> None:
        """Greetings and hints."""

    def warning(self, msg: str) -> None:
        """Warnings; "Fatal error while uploading data" is one."""
        text = ANSI.sub("", msg).removeprefix("wandb: ").removeprefix("WARNING ")
        logger.info("wandb: %s", text)
        if "uploading data" in text and not self.is_incomplete:
            self.note_loss()
            notice("W&B stopped uploading, the run goes on and keeps everything on disk")

    def error(self, msg: str) -> None:
        """Errors."""
        self.warning(msg)

    def note_loss(self) -> None:
        """Something is not uploaded."""
        self.is_incomplete = True


def start_service() -> None:
    """Imports what `wandb.init` would import and starts the service process, which it would start.

    The import takes 0.35 s of processor time before torch is there and 1.1 s afterwards: it makes classes
    whose documentation is looked for in all modules that there are.
    """
    importlib.import_module("wandb.sdk.launch.inputs.internal")
    from wandb.sdk import wandb_setup  # not public, see pyproject.toml's bound

    wandb_setup.singleton().ensure_service()


def end_service() -> None:
    """Ends a service process that has no run."""
    import wandb

    with contextlib.suppress(Exception, SystemExit):
        wandb.teardown()


def kill_service() -> None:
    """Kills wandb's service process, so that calls that wait for it raise instead of waiting for ever."""
    import wandb

    connection: Any = getattr(wandb.setup(), "_connection", None)  # not public, see pyproject.toml's bound
    process = getattr(getattr(connection, "_proc", None), "_process", None)
    if process is not None:
        process.kill()


def discard_service() -> None:
    """Forgets a dead service process; without it wandb prints a traceback when Python exits."""
    import wandb

    kill_service()
    with contextlib.suppress(Exception, SystemExit):
        wandb.teardown()
