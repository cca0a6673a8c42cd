"""Ctrl-C, SIGTERM and their like: finish the step, save, leave; at once where there is nothing to finish."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self, final

# What ends jobs: a user, a scheduler, a terminal that is closed, a scheduler's warning (SLURM --signal=USR1).
ALWAYS = (signal.SIGINT, signal.SIGTERM)
UNLESS_TAKEN = (signal.SIGHUP, signal.SIGUSR1)  # left alone where nohup or a launcher has plans for them


class StopRequested(BaseException):
    """Raised by the signal handler where interrupting at once is harmless (preparing, evaluating)."""


@final
class StopSignal:
    """Watches the signals that end a run while it is alive.

    The first signal asks: `requested` becomes its number, and inside `interruptible()` the body ends
    with `StopRequested`. A second Ctrl-C, or a third signal of any kind, leaves at once; checkpoints
    are renamed into place, so that cannot damage one.

    Args:
        same_seconds: The same signal so soon after another counts once: a scheduler signals every process of
            a job, and so does the one that has started this one.
    """

    def __init__(self, same_seconds: float = 0.0) -> None:
        self._same_seconds, self._last = same_seconds, (0, 0.0)
        self.requested: int | None = None
        self.has_raised = False  # then whatever ends the body comes of it, even an ImportError of C code
        self.before_leaving: Callable[[], None] = lambda: None  # before the process ends at once
        self.outcome: int | None = None  # exit code of a run whose end is recorded: no signal changes it
        self._signals = 0
        self._interruptible = False
        self._saving = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            free = [number for number in UNLESS_TAKEN if signal.getsignal(number) == signal.SIG_DFL]
            for number in (*ALWAYS, *free):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after any other signal."""
        return 130 if self.requested == signal.SIGINT else 143

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """A body that a stop request ends at once, with `StopRequested`."""
        if self.requested:
            raise StopRequested
        before, self._interruptible = self._interruptible, True
        try:
            yield
        finally:
            self._interruptible = before
        if self.requested:  # the body has swallowed the exception, as callbacks of C code do
            raise StopRequested

    @contextmanager
    def saving(self) -> Generator[None]:
        """A body that a second Ctrl-C does not end (a third does)."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == self._last[0] and now - self._last[1] < self._same_seconds:
            return
        self._last = (number, now)
        self._signals += 1
        impatient = number == signal.SIGINT and self._signals == 2 and not self._saving
        if impatient or self._signals >= 3:
            self._leave(130 if number == signal.SIGINT else 143)
        if self.requested is None:
            self.requested = number
        if self._interruptible:
            self._interruptible, self.has_raised = False, True
            raise StopRequested
        if number == signal.SIGINT and self.outcome is None:
            tell("aiexp: finishing this step; Ctrl-C again stops at once")

    def _leave(self, exit_code: int) -> None:
        """Ends this process without another word to Python."""
        if self.outcome is None:
            tell("aiexp: stopped at once; the last checkpoint is intact")
        self.before_leaving()
        os._exit(exit_code if self.outcome is None else self.outcome)


def tell(line: str) -> None:
    """A line to stderr from inside a signal handler; nothing where the terminal is gone."""
    with suppress(OSError):
        os.write(2, f"\n{line}\n".encode())
