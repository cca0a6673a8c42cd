"""How a job of a sweep ended."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self, final

from aiexp.rundir.state import WRITTEN, State
from aiexp.storage.shape import fields, list_of, map_of, number, one_of, text, whole

# The shape of `Result.record`.
RECORD = fields(
    {"index": whole(), "exit_code": whole(), "overrides": list_of(text)},
    error=text, state=one_of(*WRITTEN), metrics=map_of(number), seconds=number, directory=text,
)  # fmt: skip


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
    state: State = State.FINISHED
    metrics: dict[str, float] = field(default_factory=lambda: {})
    seconds: float = 0.0
    directory: str = ""

    def record(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The result out of a line of the ledger.

        Raises:
            ShapeError: the line is damaged.
        """
        RECORD(record, "")
        known: dict[str, Any] = {n: record[n] for n in cls.__dataclass_fields__ if record.get(n) is not None}
        known["state"] = State(known.get("state", State.FINISHED))
        return cls(**known)
