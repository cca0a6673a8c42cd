"""What a run has said in run.log, for a service that shows it: line by line, secrets masked there already."""

from pathlib import Path
from typing import final

TIME_CHARACTERS = len("2026-01-31 12:00:00 ")  # services write their own time before each line


@final
class Said:
    """Reads run.log while it grows.

    Args:
        path: Of run.log.
        start: Where to begin, in bytes.
    """

    def __init__(self, path: Path, start: int) -> None:
        self._path, self._position = path, start

    def new_text(self) -> str:
        """The whole lines written since the last call, without their times."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                content = file.read()
        except OSError:
            return ""
        end = content.rfind(b"\n") + 1
        self._position += end
        lines = content[:end].decode("utf-8", errors="replace").split("\n")
        return "\n".join(line[TIME_CHARACTERS:] for line in lines).rstrip("\n")
