"""One line to the user about tracking, on stderr, without secrets."""

import os
import shlex
import sys
from pathlib import Path

from aiexp.secrets import redact_text


def notice(line: str) -> None:
    """Writes `aiexp: <line>` on one line of stderr."""
    sys.stderr.write(f"aiexp: {redact_text(' '.join(line.split()))}\n")
    sys.stderr.flush()


def short_path(path: Path) -> str:
    """The path relative to the working directory where that is shorter, quoted for a shell."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(str(path)) else str(path))
