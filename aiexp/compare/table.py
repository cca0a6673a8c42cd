"""A comparison as a table for the terminal."""

from rich.console import Console
from rich.table import Table

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.varying import MISSING, show_value


def print_table(comparison: Comparison, console: Console) -> None:
    """Prints groups, sentences and notes."""
    table = Table(box=None, pad_edge=False)
    for key in comparison.columns:
        table.add_column(comparison.names[key])
    table.add_column(comparison.metric.name, justify="right")
    table.add_column("95 % interval")
    for name in ("seeds", "minutes", "GiB"):
        table.add_column(name, justify="right")
    for group in comparison.groups:
        table.add_row(*(show_value(group.values.get(k, MISSING)) for k in comparison.columns), *_cells(group))
    console.print(table)
    for line in (*comparison.sentences, *(f"note: {note}" for note in comparison.notes)):
        console.print(line, highlight=False, markup=False)


def _cells(group: Group) -> list[str]:
    interval = group.interval
    return [
        f"{group.center:.4f}",
        f"{interval.low:.4f} to {interval.high:.4f}" if interval else "-",
        str(len(group.scores)),
        f"{group.seconds / 60:.1f}" if group.seconds is not None else "-",
        f"{group.peak_memory_bytes / 2**30:.1f}" if group.peak_memory_bytes else "-",
    ]
