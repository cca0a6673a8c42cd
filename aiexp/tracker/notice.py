"""One line to the user about tracking, on stderr, without secrets."""

import os
import shlex
from pathlib import Path

from aiexp.text.terminal import say


def notice(line: str) -> None:
    """Writes `aiexp: <line>` on one line of stderr."""
    say(" ".join(line.split()))


def short_path(path: Path) -> str:
    """The path relative to the working directory where that is shorter, quoted for a shell."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))
