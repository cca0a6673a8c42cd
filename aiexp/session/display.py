"""What a run says while it works: lines for people in run.log and on the terminal, and a progress bar."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from aiexp.storage.files import storage_errors
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import visible

REFRESH_SECONDS = 0.2


@final
class Display:
    """Says lines to the terminal and `run.log`; shows a bar only where it can be redrawn.

    Args:
        log: Path of run.log; appended to, from `log_bytes` on.
    """

    def __init__(self, log: Path) -> None:
        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self._path = log
        with storage_errors("opening the log", log):
            self._log = log.open("a", encoding="utf-8")
            self.log_bytes = self._log.tell()  # where the lines of this process begin
        self._progress: Progress | None = None
        self._bar: Any = None
        self._next_refresh = 0.0

    def say(self, line: str, *, terminal: bool = True) -> None:
        """One line to run.log and, unless `terminal` is false, to the terminal."""
        line = visible(redact_text(line))
        with storage_errors("writing the log", self._path):
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            self._log.flush()
        if terminal:
            with self._readers_may_leave():
                self.console.print(line)

    def say_block(self, lines: list[str]) -> None:
        """Lines that belong together, set off by an empty one on the terminal."""
        if lines:
            with self._readers_may_leave():
                self.console.print()
        for line in lines:
            self.say(line)

    @contextmanager
    def _readers_may_leave(self) -> Generator[None]:
        """A body whose output may go nowhere (`aiexp run | head`): the run goes on, quietly."""
        try:
            yield
        except (OSError, SystemExit):  # rich turns a broken pipe into SystemExit
            self.console.quiet = True
            self._progress = None

    @contextmanager
    def repeat_warnings(self) -> Generator[None]:
        """A body in which warnings of aiexp's own loggers (skipped rows, repeated texts) are lines too."""
        handler = SayingHandler(self)
        logger = logging.getLogger("aiexp")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def begin(self, step: int, total_steps: int) -> None:
        """Starts the bar, on a terminal."""
        if not self.console.is_terminal:
            return
        columns: list[ProgressColumn] = [
            TextColumn("step {task.completed:.0f}/{task.total:.0f}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TextColumn("left", markup=False),
            TimeRemainingColumn(),
        ]
        self._progress = Progress(*columns, console=self.console, auto_refresh=False, transient=True)
        self._bar = self._progress.add_task("", total=total_steps, completed=step, note="")
        self._progress.start()

    def is_due(self) -> bool:
        """Whether the bar is shown and old enough to be redrawn."""
        return self._progress is not None and time.monotonic() >= self._next_refresh

    def show(self, step: int, note: str) -> None:
        """Redraws the bar."""
        if self._progress is None:
            return
        self._next_refresh = time.monotonic() + REFRESH_SECONDS
        with self._readers_may_leave():
            self._progress.update(self._bar, completed=step, note=visible(note))
            self._progress.refresh()

    def end(self) -> None:
        """Removes the bar."""
        if self._progress is not None:
            with self._readers_may_leave():
                self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Removes the bar and closes run.log."""
        self.end()
        with suppress(OSError):  # a full disk has been reported already
            self._log.close()


@final
class SayingHandler(logging.Handler):
    """Hands warnings to a display."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Says one record."""
        self._display.say(f"{record.levelname.lower()}: {record.getMessage()}")
