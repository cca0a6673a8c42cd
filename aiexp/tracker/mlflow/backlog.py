"""What an MLflow server has not taken yet: kept, and sent when it answers again."""

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
        return isinstance(error, OSError)  # that of requests is one
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

    @property
    def is_empty(self) -> bool:
        """Whether everything is sent."""
        return not self.metrics and not self.actions

    def send(self, *, at_once: bool = False) -> None:
        """Sends what waits, the actions first; while the server is away, only now and then.

        Args:
            at_once: Try it now in any case.

        Raises:
            Exception: the server refuses something, or a local store fails.
        """
        if self.is_away and not at_once and time.monotonic() < self._next_try:
            return
        try:
            while self.actions:
                self.actions[0]()
                self.actions.popleft()
            while self.metrics:
                some = [self.metrics[i] for i in range(min(len(self.metrics), MOST_METRICS))]
                self._send_metrics(some)
                for _ in some:
                    self.metrics.popleft()
        except Exception as error:
            if not self._is_remote or not is_outage(error):
                raise
            self.wait(reason_of(error))
        else:
            self.is_away = False

    def wait(self, reason: str) -> None:
        """Tries again later; says so when the server goes away, not at each try."""
        if not self.is_away:
            self._told(reason)
        self.is_away, self._next_try = True, time.monotonic() + RETRY_SECONDS
