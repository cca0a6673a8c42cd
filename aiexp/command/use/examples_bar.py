"""How many examples a command has been through, on a terminal."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from aiexp.text.terminal import visible
from aiexp.use.evaluating.progress import Progress, unheard


@contextmanager
def examples_bar() -> Generator[Progress]:
    """A body with a bar below what it says, if stderr is a terminal; it is told how far a split is done."""
    if not sys.stderr.isatty():
        yield unheard
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description} {task.completed:.0f} examples", markup=False),
        BarColumn(bar_width=24),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, markup=False, highlight=False)
    with Bar(*columns, console=console, transient=True) as shown:
        row = shown.add_task("", total=None, visible=False)
        split_of_row = ""

        def progress(split: str, count: int, total: int | None) -> None:
            nonlocal split_of_row
            if split != split_of_row or count < shown.tasks[0].completed:
                shown.reset(row, total=total, description=visible(split), visible=True)
                split_of_row = split
            shown.update(row, completed=count)

        yield progress
