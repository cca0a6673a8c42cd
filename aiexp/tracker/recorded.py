"""What trackers may send beside metrics: `record=[git, command, console, requirements]`, secrets masked."""

import re
from pathlib import Path
from typing import Literal

from aiexp.rundir.environment import run_git
from aiexp.text.secrets import redact_text
from aiexp.tracker.base import RunInfo

Part = Literal["git", "command", "console", "requirements"]


def remote_address(run: RunInfo) -> str | None:
    """Where the code of the working directory came from, without user and password."""
    url = run_git(Path(run.environment.get("working_directory") or "."), "remote", "get-url", "origin")
    return re.sub(r"://[^/@\s]*@", "://", redact_text(url.strip())) if url else None
