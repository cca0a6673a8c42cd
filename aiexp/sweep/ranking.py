"""Which jobs of a sweep are best, said as it ends: by evaluations, since choosing by a test uses it up."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.config.folders import shown
from aiexp.errors import AiexpError
from aiexp.rundir.record import RunRecord, find_runs
from aiexp.rundir.state import COMPLETE
from aiexp.text.terminal import out_lines, say, width

if TYPE_CHECKING:
    from aiexp.compare.comparison import Comparison

MOST = 10  # groups of the table
FEWEST = 2  # jobs that there is something to compare of


def say_ranking(directory: Path) -> None:
    """Prints the table of a sweep's complete jobs, and how to run the best again; nothing for one job.

    Args:
        directory: The sweep's.
    """
    records = [record for record in find_runs([directory]) if record.state in COMPLETE]
    if len(records) < FEWEST or not any(record.metrics for record in records):
        return
    from aiexp.compare.compare import compare
    from aiexp.compare.shown.table import as_table

    try:
        comparison = compare(records, metric=ranking_metric(records), importance=False)
    except AiexpError as error:  # the sweep is complete whatever can be said of it
        say(f"note: its jobs are not compared: {error.what}")
        return
    out_lines(as_table(comparison, width(), MOST))
    if len(comparison.groups) > 1:
        for line in best_lines(comparison):
            say(line)
    say(f"more: aiexp compare {shlex.quote(shown(directory))} [--html]")


def ranking_metric(records: Sequence[RunRecord]) -> str:
    """What the runs are judged by, of the eval split where all of them have it."""
    from aiexp.compare.metric import choose_metric

    name = choose_metric(list(records), None, None).name
    evaluated = f"eval/{name.rpartition('/')[2]}"
    return evaluated if all(evaluated in record.metrics for record in records) else name


def best_lines(comparison: "Comparison") -> list[str]:
    """The best group: its score, its command, and what it has on the test split."""
    best, name = comparison.groups[0], comparison.metric.name
    is_group = len(best.records) > 1
    words = [
        word
        for word in best.records[0].overrides
        if not word.startswith(("outputs=", "hydra/", "hydra.", *(("seed=",) if is_group else ())))
    ]
    mean = f" (mean of {len(best.records)})" if is_group else ""
    lines = [f"best {name} {best.center:.4g}{mean}: {shlex.join(['aiexp', 'run', *words])}"]
    tested = f"test/{name.rpartition('/')[2]}"
    if name.startswith("test/"):
        lines.append(
            f"note: ranked by {name}, for want of an evaluation: of the best it is too good to be true"
        )
    elif all(tested in record.metrics for record in best.records):
        scores = [record.metrics[tested] for record in best.records]
        lines.append(f"its {tested} is {sum(scores) / len(scores):.4g}, which has not chosen it")
    return lines
