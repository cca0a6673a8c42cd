"""How runs are compared."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What `aiexp compare` and `aiexp board` are asked.

    Args:
        by: A config key or group, or None.
        metric: Its name, or None.
        direction: Whether more of it is better, or None.
    """

    by: str | None = None
    metric: str | None = None
    direction: Literal["max", "min"] | None = None
