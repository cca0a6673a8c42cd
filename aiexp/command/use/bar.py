"""How far a command has got, on a terminal."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from aiexp.text.terminal import visible
from aiexp.use.progress import Progress, unheard


@contextmanager
def bar() -> Generator[Progress]:
    """A body with a bar below what it says, if stderr is a terminal, once there is more than one to come.

    It is told a label ("explained", a split's name), how many are done, and of how many; None: nobody knows.
    """
    if not sys.stderr.isatty():
        yield unheard
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, markup=False, highlight=False)
    # stdout goes through the bar where both are the terminal; a file gets its lines as they are.
    shown = Bar(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
    row = shown.add_task("", total=None)
    last = ""

    def progress(label: str, count: int, total: int | None) -> None:
        nonlocal last
        if count <= 1 and (total or 0) <= 1:
            return
        if label != last or count < shown.tasks[0].completed:
            shown.reset(row, total=total)
            last = label
        of = "" if total is None else f"/{total}"
        shown.update(row, completed=count, description=visible(f"{label} {count}{of}"))
        shown.start()

    try:
        yield progress
    finally:
        if shown.live.is_started:
            shown.stop()
