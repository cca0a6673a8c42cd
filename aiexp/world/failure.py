"""What a rank that fails tells the launcher, and how the others find out."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, final

from aiexp.errors import AiexpError

# What gloo and NCCL say when another process is gone or late.
_LOST = (
    "/gloo/", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out",
    "NCCL communicator was aborted", "ncclRemoteError",
)  # fmt: skip


@final
class PeerLostError(AiexpError):
    """Another rank is gone or late: never the cause, which the other one tells."""

    exit_code, kind = 11, "ranks"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LastWord:
    """Why a rank ended.

    Args:
        lines: For the user.
        exit_code: Of the run, if this was the cause.
        seconds: When, by the clock of this machine.
    """

    lines: list[str]
    exit_code: int
    seconds: float

    @classmethod
    def of(cls, error: AiexpError) -> Self:
        """What an error says."""
        return cls(lines=error.lines(), exit_code=error.exit_code, seconds=time.time())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What a rank has left; None if it went without a word."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Leaves it for the launcher."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def peer_lost(error: BaseException) -> PeerLostError | None:
    """The error of a rank whose peer is gone; None if this is another error."""
    if not isinstance(error, RuntimeError) or not any(word in str(error) for word in _LOST):
        return None
    return PeerLostError(f"another rank has ended: {' '.join(str(error).split())[:200]}")
