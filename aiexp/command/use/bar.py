"""How far a command has got with its inputs, on a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from aiexp.text.terminal import visible


@contextmanager
def bar(done: str, total: int | None) -> Generator[Callable[[str], None]]:
    """A body with a bar below what it says, if stderr is a terminal and there is more than one input.

    Calling what it is given says that the next input is begun, by its name.

    Args:
        done: What becomes of inputs: "explained".
        total: How many they are; None: that is not known.
    """
    if total == 1 or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    count = "{task.completed:.0f}" if total is None else "{task.completed:.0f}/{task.total:.0f}"
    columns = (
        TextColumn(f"{done} {count}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(
        *columns, console=Console(stderr=True, markup=False, highlight=False), transient=True,
        redirect_stdout=sys.stdout.isatty(),  # a file gets its lines as they are
    ) as shown:  # fmt: skip
        row = shown.add_task("", total=total)
        begun = -1

        def begin(name: str) -> None:
            nonlocal begun
            begun += 1
            shown.update(row, completed=begun, description=visible(name))

        yield begin
