"""What a sweep tells a run that is one of its jobs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiexp.session.node import Node


class Pruning(Protocol):
    """Whoever may end a run early: the search that it is a trial of."""

    def report(self, step: int, metrics: dict[str, float]) -> bool:
        """Takes an evaluation at an optimizer step into account; true if the run should end here."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a sweep.

    Args:
        sweep_dir: The directory all jobs of the sweep share.
        index: Its number, from 0.
        overrides: What it was given.
        directory: Its run directory, which may have been begun.
        environment: What environment.json says of this machine.
        pruning: Who may end it early; None for nobody.
        node: This machine, the first of those that train it.
    """

    sweep_dir: Path
    index: int
    overrides: list[str]
    directory: Path
    environment: dict[str, Any] = field(default_factory=lambda: {})
    pruning: Pruning | None = None
    node: Node = field(default_factory=Node)
