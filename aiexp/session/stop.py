"""Ctrl-C and SIGTERM: finish the step, save, leave; at once where there is nothing to finish."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self, final


class StopRequested(BaseException):
    """Raised by the signal handler where interrupting at once is harmless (preparing, evaluating)."""


@final
class StopSignal:
    """Watches SIGINT and SIGTERM while a run is alive.

    The first signal asks: `requested` becomes its number, and inside `interruptible()` the body ends
    with `StopRequested`. A second Ctrl-C, or a third signal of any kind, leaves at once; checkpoints
    are renamed into place, so that cannot damage one.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._signals = 0
        self._interruptible = False
        self._saving = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.requested or 0)

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """A body that a stop request ends at once, with `StopRequested`."""
        if self.requested:
            raise StopRequested
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def saving(self) -> Generator[None]:
        """A body that a second Ctrl-C does not end (a third does)."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        impatient = number == signal.SIGINT and self._signals == 2 and not self._saving
        if impatient or self._signals >= 3:
            os.write(2, b"\naiexp: stopped at once; the last checkpoint is intact\n")
            os._exit(128 + number)
        if self.requested is None:
            self.requested = number
        if self._interruptible:
            self._interruptible = False
            raise StopRequested
