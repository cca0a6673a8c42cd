"""Time of training alone."""

import time
from typing import final


@final
class Clock:
    """Seconds of training since the last lap, without what happened while paused."""

    def __init__(self, step: int) -> None:
        self._start = time.perf_counter()
        self._paused_at = 0.0
        self._step = step

    def paused(self) -> "Clock":
        """A context whose time does not count."""
        return self

    def __enter__(self) -> None:
        self._paused_at = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._start += time.perf_counter() - self._paused_at

    def lap(self, step: int) -> tuple[float, int]:
        """Seconds and steps since the last call."""
        now = time.perf_counter()
        seconds, self._start = now - self._start, now
        steps, self._step = step - self._step, step
        return seconds, steps
