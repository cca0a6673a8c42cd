"""What places on any cluster have in common: the cluster queues, we only count."""

from typing import Any


class ClusterPlaces:
    """Counts the jobs handed to a cluster.

    Args:
        n_jobs: Jobs at once, waiting ones too.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs
        self._running: dict[Any, Any] = {}

    @property
    def has_free_slot(self) -> bool:
        """Whether `start` may be called."""
        return len(self._running) < self._n_jobs

    @property
    def num_running(self) -> int:
        """How many jobs have not ended."""
        return len(self._running)
