"""How a job of a sweep ended."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self, final


@final
@dataclass(frozen=True, kw_only=True)
class Result:
    """How a job ended, as the ledger keeps it.

    Args:
        index: Its number, from 0.
        exit_code: 0 when it is complete.
        overrides: What it was given, without what all jobs share.
        error: The first line of what went wrong.
        state: finished, failed, stopped (may be continued), or pruned.
        metrics: Final ones, by their full names.
        seconds: Wall time of this attempt.
        directory: Name of its run directory inside the sweep's; empty when it did not get so far.
    """

    index: int
    exit_code: int
    overrides: list[str]
    error: str = ""
    state: str = "finished"
    metrics: dict[str, float] = field(default_factory=lambda: {})
    seconds: float = 0.0
    directory: str = ""

    def record(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The result out of a line of the ledger."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


def state_of(exit_code: int) -> str:
    """The state that an exit code means."""
    return {0: "finished", 130: "stopped", 143: "stopped"}.get(exit_code, "failed")
