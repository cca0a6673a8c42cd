"""What an evaluation returns: numbers, and for the final one pictures and tables."""

from dataclasses import dataclass, field

from aiexp.rundir.judged_by import Better as Better


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Named columns and rows of plain values; written as CSV and shown as a W&B table."""

    columns: list[str]
    rows: list[list[str | int | float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The result of evaluating a split.

    Args:
        metrics: Name (no prefix) to value.
        better: Whether the larger ("max") or the smaller ("min") value of each is better; runs are compared
            by these. A metric that only describes is left out.
        pictures: Name to PNG or (animated) GIF bytes.
        pdfs: Name to PDF bytes of the same pictures, for papers: `aiexp.figure.style.saved` gives both.
        tables: Name to table.
    """

    metrics: dict[str, float]
    better: dict[str, Better] = field(default_factory=lambda: {})
    pictures: dict[str, bytes] = field(default_factory=lambda: {})
    pdfs: dict[str, bytes] = field(default_factory=lambda: {})
    tables: dict[str, Table] = field(default_factory=lambda: {})
