"""How far a command on a trained task has got: told by whoever works, heard by whoever shows it."""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], object]  # of what ("explained", a split), how many, of how many


def unheard(label: str, count: int, total: int | None) -> None:
    """Nobody wants to know."""
