"""Metrics as people read them, and the last lines of a run: results, places, what one types next."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.checkpoint.manifest import saved_steps
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, ENVIRONMENT, FIGURES, STATUS, read_or_empty
from aiexp.rundir.named import short_name
from aiexp.rundir.tracked import tracked
from aiexp.rundir.weights import checkpoint_path
from aiexp.text.number import digits
from aiexp.tracker.notice import short_path

if TYPE_CHECKING:  # a session begins before torch is imported
    from aiexp.task.base import Task

GAP = "   "
INTERVAL = "_interval"  # ends the name of a half-width


def result_table(metrics: dict[str, float]) -> list[str]:
    """Metrics as lines: a row for each name, a column for each split; what has no split comes last.

    Args:
        metrics: `split/name` to value, such as `eval/accuracy`; `eval/accuracy_interval` goes beside it.
    """
    if not metrics:
        return []
    shown = [
        name for name in metrics if name.removesuffix(INTERVAL) not in metrics or not name.endswith(INTERVAL)
    ]
    parted = {name: name.split("/", 1) for name in shown if "/" in name}
    splits = list(dict.fromkeys(split for split, _ in parted.values()))
    names = list(dict.fromkeys(name for _, name in parted.values()))
    cells = [["", *splits]]
    cells += [[name, *(_cell(metrics, f"{split}/{name}") for split in splits)] for name in names]
    cells += [[name, _cell(metrics, name)] for name in shown if name not in parted]
    return _aligned(cells)


def _cell(metrics: dict[str, float], name: str) -> str:
    """A value, with the half-width of its interval where it has one."""
    if name not in metrics:
        return ""
    half = metrics.get(name + INTERVAL)
    return digits(metrics[name]) + ("" if half is None else f" +- {half:.2g}")


def brief(metrics: dict[str, float]) -> str:
    """Metrics on one line."""
    return "  ".join(f"{name} {digits(value)}" for name, value in metrics.items())


def _aligned(cells: list[list[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in cells if i < len(row)) for i in range(max(map(len, cells)))]
    lines: list[str] = []
    for name, *values in cells:
        numbers = [value.rjust(width) for value, width in zip(values, widths[1:], strict=False)]
        lines.append(GAP.join([name.ljust(widths[0]), *numbers]).rstrip())
    return lines


def places(directory: RunDirectory, shown: str) -> list[str]:
    """Where the run lies, and in it its figures and the weights that commands use.

    Args:
        directory: The run's.
        shown: Its path as a user would type it.
    """
    inside = [FIGURES] if (directory.path / FIGURES).is_dir() else []
    best = directory.read_json(STATUS).get("best_step")
    if best is not None and (folder := checkpoint_path(directory, best)).is_dir():
        inside.append(f"{folder.relative_to(directory.path)} (the best weights)")
    elif steps := saved_steps(directory.path / CHECKPOINTS):
        inside.append(
            f"{checkpoint_path(directory, steps[-1]).relative_to(directory.path)} (the last weights)"
        )
    return [f"run   {shown}", *_labelled("in it", inside)]


def next_lines(directory: RunDirectory, shown: str, example: str | None) -> list[str]:
    """What one may type now.

    Args:
        directory: The run's.
        shown: Its path as a user would type it.
        example: What follows `aiexp predict RUN`; None for a task that answers nothing.
    """
    run = short_name(directory.path)
    commands = [] if example is None else [f"aiexp predict {shlex.quote(run)} {example}"]
    commands.append(f"aiexp compare {shlex.quote(str(Path(shown).parent))}")
    return _labelled("next", commands)


def look_lines(directory: RunDirectory) -> list[str]:
    """How to look at what the trackers have, and to upload what W&B has not."""
    records = [r for r in tracked(directory.read_json(ENVIRONMENT)).values() if "failure" not in r]
    looks = [str(record["look"]) for record in records if record.get("look")]
    uploads = [str(record["upload"]) for record in records if record.get("mode") == "offline"]
    return [*_labelled("look", looks), *_labelled("send", uploads)]


def sweep_look_lines(sweep: Path) -> list[str]:
    """The same for all jobs of a sweep at once; what is online has a page for each job, which is in its log.

    Args:
        sweep: Its directory.
    """
    environments = [read_or_empty(path) for path in sorted(sweep.glob(f"*/{ENVIRONMENT}"))]
    records = [r for environment in environments for r in tracked(environment).values() if "failure" not in r]
    looks = dict.fromkeys(str(r["look"]) for r in records if r.get("look") and not _is_page(str(r["look"])))
    is_left = any(record.get("mode") == "offline" for record in records)
    uploads = [f"wandb sync {short_path(sweep)}/*/wandb/offline-run-*"] if is_left else []
    return [*_labelled("look", looks), *_labelled("send", uploads)]


def _is_page(look: str) -> bool:
    return look.startswith(("https://", "http://"))


def _labelled(label: str, lines: Iterable[str]) -> list[str]:
    """The label before the first line only."""
    return [f"{'' if i else label:<6}{line}" for i, line in enumerate(lines)]


def prediction_example(task: "Task") -> str | None:
    """What one types after `aiexp predict RUN`; None where the task has no inputs."""
    try:
        return task.inputs().example
    except Exception:  # whatever is wrong with a task's own inputs, it is no reason not to train
        return None
