"""What an MLflow server has not taken yet: kept, and sent when it answers again."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, final

from aiexp.errors import reason_of

RETRY_SECONDS = 5.0
MOST_METRICS = 1000  # in one request: the server refuses more
LARGEST = 1_000_000  # values that wait; a run that logs more than that to a dead server loses the oldest


def is_outage(error: Exception) -> bool:
    """Whether a server did not answer, or not as itself, so that the same may work later."""
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        is_of_a_file = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
        return isinstance(error, OSError) and not is_of_a_file  # that of requests is one
    status: int = error.get_http_status_code()
    return status >= 500 or status == 429


@final
class Backlog:
    """Sends at once what it is given, or keeps it while the server is away.

    Args:
        send_metrics: Sends some of the values.
        is_remote: Whether there is a server that may come back; a local store that fails is an error.
        told: Is called when the server goes away, with the reason.
    """

    def __init__(
        self,
        send_metrics: Callable[[list[Any]], object],
        *,
        is_remote: bool,
        told: Callable[[str], object],
    ) -> None:
        self._send_metrics, self._is_remote, self._told = send_metrics, is_remote, told
        self.metrics: deque[Any] = deque(maxlen=LARGEST)
        self.actions: deque[Callable[[], object]] = deque()
        self.is_away = False
        self._next_try = 0.0
        self._sending = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether everything is sent."""
        return not self.metrics and not self.actions

    def send(self, *, at_once: bool = False, seconds: float | None = None) -> None:
        """Sends what waits, the actions first; while the server is away, only now and then.

        Args:
            at_once: Try it now in any case.
            seconds: After which the rest keeps waiting, also where another thread is still sending.

        Raises:
            Exception: the server refuses something, which is dropped, or a local store fails.
        """
        if self.is_away and not at_once and time.monotonic() < self._next_try:
            return
        if not self._sending.acquire(timeout=-1 if seconds is None else seconds):
            return
        try:
            self._send(None if seconds is None else time.monotonic() + seconds)
        except Exception as error:
            if not self._is_remote or not is_outage(error):
                raise
            self.wait(reason_of(error))
        else:
            self.is_away = False
        finally:
            self._sending.release()

    def _send(self, deadline: float | None) -> None:
        """Sends until nothing is left or it is late; what fails stays first unless it is refused."""
        while not self.is_empty and (deadline is None or time.monotonic() < deadline):
            is_action = bool(self.actions)
            some = [] if is_action else [self.metrics[i] for i in range(min(len(self.metrics), MOST_METRICS))]
            try:
                self.actions[0]() if is_action else self._send_metrics(some)
            except Exception as error:
                if is_outage(error):
                    raise
                self._drop(len(some))
                raise
            self._drop(len(some))

    def _drop(self, count: int) -> None:
        """Lets go of so many values, or of the first action."""
        if not count:
            self.actions.popleft()
        for _ in range(count):
            self.metrics.popleft()

    def wait(self, reason: str) -> None:
        """Tries again later; says so when the server goes away, not at each try."""
        if not self.is_away:
            self._told(reason)
        self.is_away, self._next_try = True, time.monotonic() + RETRY_SECONDS
