"""Rows as CSV text that a spreadsheet shows and does not run."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Spreadsheets take what starts so for a formula: `=cmd|...`, `+1+1`, `@SUM(1)`, also after a tab or return.
_FORMULA = re.compile(r"[=+\-@\t\n]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf|nan", re.IGNORECASE)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """CSV of some rows; a text that would be a formula gets an apostrophe before it, numbers stay numbers.

    Returns in a text become line feeds: Python's writer leaves them unquoted, and readers end a row there.
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([_guarded(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _guarded(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    is_formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text) and text != "-"
    return f"'{text}" if is_formula else text
