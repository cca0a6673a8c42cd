"""Markdown out of plain text."""

import re
from collections.abc import Iterable, Sequence

_SPAN = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([*_\\])")


def prose(text: str) -> str:
    """Plain text as Markdown that shows it as it is; what stands in backticks is code."""
    parts = _SPAN.split(text)
    return "".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"\](?=[(\[:])", r"\\]", escaped)


def code(text: str) -> str:
    """A span of code; nothing for an empty text."""
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def block(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown already; nothing without rows."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if not lines:
        return ""
    rule = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
