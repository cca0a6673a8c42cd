"""No tracking beside the run directory."""

from pathlib import Path
from typing import Any, final

from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo


@final
class NullTracker:
    """A tracker that does nothing; `metrics.jsonl` and the pictures are in the run directory all the same."""

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Nothing to record."""
        return {}

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Does nothing."""

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Does nothing."""

    def log_table(self, step: int, name: str, table: Table) -> None:
        """Does nothing."""

    def close(self, exit_code: int) -> None:
        """Does nothing."""
