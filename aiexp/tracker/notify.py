"""One message when a run ends, to a chat or a phone."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any, Literal, final
from urllib.parse import urlsplit

from aiexp.errors import ConfigError
from aiexp.ranges import NonNegativeFloat
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import STATUS
from aiexp.rundir.named import short_name
from aiexp.rundir.state import State
from aiexp.task.report import Table
from aiexp.text.number import digits, duration
from aiexp.tracker.base import RunInfo

ADDRESS = "AIEXP_NOTIFY_URL"  # whoever has it can write to you, so it is no config's
TIMEOUT_SECONDS = 10.0

Ending = Literal["finished", "failed", "stopped"]


@final
class NotifyTracker:
    """Posts to an address how the run has ended, after how long, and its last evaluations.

    Args:
        field: The key of a JSON object that the message is sent as; None: as plain text.
        when: The endings that are worth a message.
        after_seconds: Runs that end sooner say nothing.

    Raises:
        ConfigError: there is no address, or it is not one of HTTP.
    """

    def __init__(self, *, field: str | None, when: list[Ending], after_seconds: NonNegativeFloat) -> None:
        self.field, self.when = field, when
        self.after_seconds = after_seconds
        self.metrics: dict[str, float] = {}
        self.run: RunInfo | None = None
        self.address = _address()

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Records where messages go to, without the path, which is what is secret."""
        self.run, self.begun = run, time.monotonic()
        return {"mode": "notify", "host": urlsplit(self.address).hostname}

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keeps the newest evaluations."""
        self.metrics |= {k: v for k, v in metrics.items() if k.startswith(("eval/", "test/"))}

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Messages have no pictures."""

    def log_table(self, step: int, name: str, table: Table) -> None:
        """Messages have no tables."""

    def close(self, exit_code: int) -> None:
        """Sends the message, where the ending is worth one."""
        state = State.of_exit_code(exit_code)
        if self.run is None or state not in self.when:
            return
        seconds = time.monotonic() - self.begun
        if seconds >= self.after_seconds:
            self._send(self.message(self.run, state, seconds))

    def message(self, run: RunInfo, state: State, seconds: float) -> str:
        """How the run has ended: a line, why if it is not complete, its metrics, and where to look."""
        tested = {name: value for name, value in self.metrics.items() if name.startswith("test/")}
        found = [f"{name} {digits(value)}" for name, value in (tested or self.metrics).items()]
        host = run.environment.get("hostname") or platform.node()
        error = (
            RunDirectory(run.directory).read_json(STATUS).get("error")
        )  # written before trackers are closed
        why = str(error).splitlines()[:1] if error and state != State.FINISHED else []
        lines = [f"{run.name} on {host}: {state} after {duration(seconds)}", *why, *found]
        return "\n".join([*lines, f"aiexp show {short_name(run.directory)}"])

    def _send(self, message: str) -> None:
        from urllib.request import Request, urlopen

        if self.field is None:
            body, kind = message, "text/plain; charset=utf-8"
        else:
            body, kind = json.dumps({self.field: message}), "application/json"
        headers = {"Content-Type": kind, "User-Agent": "aiexp"}
        request = Request(self.address, body.encode(), headers, method="POST")
        with urlopen(request, timeout=TIMEOUT_SECONDS):
            pass


def _address() -> str:
    """Where messages are posted to.

    Raises:
        ConfigError: nowhere, or not to a web server.
    """
    address = os.environ.get("AIEXP_NOTIFY_URL", "")
    if urlsplit(address).scheme not in ("https", "http") or not urlsplit(address).hostname:
        raise ConfigError(
            f"{ADDRESS} {'holds no address of a web server' if address else 'is not set'}",
            where="tracker=notify",
            fix=f"export {ADDRESS}=https://..., where messages are posted to",
        )
    return address
