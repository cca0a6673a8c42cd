"""Who may end a run early: the search that it is a trial of."""

from typing import Protocol


class Pruning(Protocol):
    """Whoever may end a run early."""

    def report(self, step: int, metrics: dict[str, float]) -> bool:
        """Takes an evaluation at an optimizer step into account; true if the run should end here."""
        ...
