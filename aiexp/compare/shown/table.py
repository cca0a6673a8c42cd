"""A comparison for the terminal."""

import io

from rich.console import Console
from rich.table import Table

from aiexp.compare.comparison import Comparison
from aiexp.compare.shown import rows
from aiexp.text.terminal import visible

NUM_RESULTS = 3  # columns that are never left out: the metric, its interval, the number of runs
PIPED_WIDTH = 10_000  # where nobody looks at the width, every group has one line


def as_table(comparison: Comparison, width: int | None, most: int = 0) -> str:
    """The table, the sentences and the notes.

    Args:
        comparison: What to show.
        width: Of the terminal in columns; None when it goes to a pipe or a file.
        most: Groups to show; 0 shows all.
    """
    text = io.StringIO()
    console = Console(file=text, width=width or PIPED_WIDTH, color_system=None, highlight=False, markup=False)
    header, num_keys = list(map(visible, rows.header(comparison))), rows.num_keys(comparison)
    cells = [list(map(visible, row)) for row in rows.best(comparison, most)]
    if width and _width([header, *cells]) > width:
        has_letters = num_keys > len(comparison.columns)
        kept = 1 if has_letters else 0
        header = [*header[:kept], "config", *header[num_keys:]]
        labels = [visible(group.label) for group in comparison.groups[: len(cells)]]
        cells = [[*row[:kept], label, *row[num_keys:]] for row, label in zip(cells, labels, strict=True)]
        num_keys = kept + 1
        word = min(max(len(word) for label in labels for word in label.split()), width // 2)
        while len(header) > num_keys + NUM_RESULTS and word + _width([header, *cells], kept) > width:
            header, cells = header[:-1], [row[:-1] for row in cells]
    table = Table(box=None, pad_edge=False, show_edge=False)
    for i, name in enumerate(header):
        is_text = i < num_keys or name == "95 % interval"
        table.add_column(
            name, justify="left" if is_text else "right", no_wrap=name != "config", overflow="fold",
            min_width=12 if name == "config" else None,
        )  # fmt: skip
    for row in cells:
        table.add_row(*row)
    console.print(table)
    if len(cells) < len(comparison.groups):
        console.print(f"and {len(comparison.groups) - len(cells)} more; --top 0 shows all")
    for part in (comparison.sentences, rows.remarks(comparison), [f"note: {n}" for n in comparison.notes]):
        if part:
            console.print()
        for line in part:
            console.print(visible(line), soft_wrap=width is None)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _width(lines: list[list[str]], without: int | None = None) -> int:
    """Characters that a table takes, with or without the text of one of its columns."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return sum(width + 2 for i, width in enumerate(widths) if i != without)
