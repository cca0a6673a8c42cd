"""What reaches a terminal goes through here: control characters are shown, secrets masked.

A name, value or path may come from a file of somebody else's. Written as it is, an escape sequence in it
could clear the screen, hide what follows, or type into the shell.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from aiexp.text.secrets import redact_text

# C0 and C1 with DEL; what overrides the direction of writing; line separators; halves of a character (how
# Python keeps bytes of an argument that are no text).
_CONTROL = "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
_IN_A_LINE = re.compile(_CONTROL)
_IN_LINES = re.compile(rf"(?![\n\t]){_CONTROL}")
STYLES = {"": "", "red": "31", "yellow": "33", "green": "32", "bold": "1", "dim": "2"}  # of ECMA-48
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    r"""`text` on one line: every control character as `\n`, `\x1b` or `\u202e`."""
    return _IN_A_LINE.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """As `visible`, but line breaks and tabs stay what they are."""
    return _IN_LINES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def out(line: str) -> None:
    """One line of a command's answer to stdout, at once."""
    sys.stdout.write(f"{visible(line)}\n")
    sys.stdout.flush()


def out_styled(lines: Iterable[tuple[str, str]]) -> None:
    """Lines of a command's answer to stdout, in colour where that is wanted.

    Args:
        lines: Text and style, a key of `STYLES`.
    """
    _write_styled(sys.stdout, lines)


def say_styled(lines: Iterable[tuple[str, str]]) -> None:
    """The same to stderr, secrets masked."""
    _write_styled(sys.stderr, [(redact_text(line), style) for line, style in lines])


def _write_styled(stream: TextIO, lines: Iterable[tuple[str, str]]) -> None:
    has_colour = is_coloured(stream)
    for line, style in lines:
        code = STYLES[style] if has_colour else ""
        stream.write(f"\x1b[{code}m{visible(line)}\x1b[0m\n" if code else f"{visible(line)}\n")
    stream.flush()


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal that stdout is; None where it is none, and lines may have any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, columns: int | None) -> str:
    """`text` in so many columns; what is left out is marked."""
    return text if columns is None or len(text) <= columns else f"{text[: max(columns - 1, 0)]}\u2026"


def out_lines(text: str) -> None:
    """A command's answer of many lines to stdout; where values stand in it, each went through `visible`."""
    sys.stdout.write(visible_lines(text if text.endswith("\n") else f"{text}\n"))
    sys.stdout.flush()


def say(line: str) -> None:
    """One line about the work to stderr, at once."""
    sys.stderr.write(f"aiexp: {visible(redact_text(line))}\n")
    sys.stderr.flush()


def say_lines(text: str) -> None:
    """Lines of somebody else's (a traceback) to stderr."""
    sys.stderr.write(visible_lines(redact_text(text)))
    sys.stderr.flush()


def resume_command(path: Path | str) -> str:
    """What continues a run or sweep, to be pasted into a shell: with the packages that were trusted."""
    trusted = [p for p in os.environ.get("AIEXP_TRUST", "").split(",") if p]
    words = ["aiexp", "resume", str(path), *(f"--trust={package}" for package in trusted)]
    return " ".join(map(shlex.quote, words))
