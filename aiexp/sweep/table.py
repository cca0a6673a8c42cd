"""What a sweep says while it runs: a live table on a terminal, lines elsewhere."""

import sys
import time
from pathlib import Path
from typing import Self, final

from aiexp.conf_dir import shown
from aiexp.secrets import redact_text
from aiexp.sweep.result import Result


@final
class Table:
    """Use as a context.

    Args:
        directory: The sweep's.
        num_jobs: How many there are; None while nobody knows.
        num_slots: How many run at once.
    """

    def __init__(self, directory: Path, *, num_jobs: int | None, num_slots: int) -> None:
        self.directory, self.num_jobs, self.num_slots = directory, num_jobs, num_slots
        self.results: list[Result] = []
        self.running: dict[int, tuple[list[str], Path, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refresh()

    def say(self, line: str) -> None:
        """A line that stays."""
        sys.stderr.write(f"aiexp: {redact_text(line)}\n")
        sys.stderr.flush()

    def started(self, index: int, overrides: list[str], log: Path) -> None:
        """A job has been started."""
        self.running[index] = (overrides, log, time.monotonic())

    def ended(self, result: Result) -> None:
        """A job has ended; says so at once if it failed."""
        _, log, _ = self.running.pop(result.index, ([], None, 0.0))
        self.results.append(result)
        if result.state != "failed":
            return
        self.say(f"job {result.index} failed: {' '.join(result.overrides)}")
        self.say(f"  {result.error}")
        if log is not None:
            self.say(f"  log: {shown(log)}")

    def refresh(self) -> None:
        """Redraws what is live."""
