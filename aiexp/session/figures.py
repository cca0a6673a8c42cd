"""The files in figures/: pictures and tables of evaluations; at the end of a run, curves and growth."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiexp.errors import AiexpError
from aiexp.figure.style import Drawn
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CURVES, FIGURES, METRICS, STATUS
from aiexp.rundir.metrics import read_metrics
from aiexp.storage.files import storage_errors
from aiexp.text.csv import csv_text
from aiexp.tracker.base import Tracker

if TYPE_CHECKING:
    from aiexp.task.report import Evaluation

GROWTH = "growth"
_STEP = re.compile(r"(.+)_step-(\d+)\.png")
LARGEST_SHEET = 20_000_000  # bytes of a picture that is read again


def write_figures(folder: Path, step: int, evaluation: "Evaluation", tracker: Tracker) -> None:
    """Pictures and tables of an evaluation to files and to the tracker.

    Raises:
        StorageError: a file cannot be written.
    """
    for name, picture in evaluation.pictures.items():
        path = figure_path(folder, step, name, "gif" if picture.startswith(b"GIF8") else "png")
        write(path, picture)
        tracker.log_picture(step, name, path)
    for name, drawn in evaluation.pdfs.items():
        write(figure_path(folder, step, name, "pdf"), drawn)
    for name, table in evaluation.tables.items():
        path = figure_path(folder, step, name, "csv")
        with storage_errors("writing a table", path):
            path.write_text(csv_text([table.columns, *table.rows]), encoding="utf-8", newline="")
        tracker.log_table(step, name, table)


def figure_path(folder: Path, step: int, name: str, suffix: str) -> Path:
    """`figures/test/confusion_matrix_step-00000753.png`, its folder made."""
    path = folder / f"{name}_step-{step:08d}.{suffix}"
    with storage_errors("making a folder", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(path: Path, content: bytes) -> None:
    """A picture's file.

    Raises:
        StorageError: it cannot be written.
    """
    with storage_errors("writing a picture", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def draw_last(directory: RunDirectory, config: dict[str, Any]) -> str:
    """Draws what only a whole run can show; returns why not, if something went wrong.

    The results are there already: a figure is no reason to lose them.
    """
    try:
        for name, drawn in last_figures(directory, config):
            write(directory.path / FIGURES / f"{name}.png", drawn.png)
            write(directory.path / FIGURES / f"{name}.pdf", drawn.pdf)
    except Exception as error:
        return f"no picture of the whole run: {error.what if isinstance(error, AiexpError) else error}"
    return ""


def last_figures(directory: RunDirectory, config: dict[str, Any]) -> Iterator[tuple[str, Drawn]]:
    """Curves of what was logged, and growth of the sheets of samples, by name."""
    from aiexp.figure.curves import curves_figure
    from aiexp.figure.growth import growth_figure

    selection: Any = (config.get("trainer") or {}).get("selection")
    monitor = selection.get("monitor") if isinstance(selection, dict) else None
    better: dict[str, str] = directory.read_json(STATUS).get("better") or {}
    curves = curves_figure(read_metrics(directory.path / METRICS), monitor, better)
    if curves is not None:
        yield CURVES, curves
    for name, sheets in sheets_of(directory.path / FIGURES / "eval").items():
        growth = growth_figure(sheets)
        if growth is not None:
            yield f"{GROWTH}_{name}", growth


def sheets_of(folder: Path) -> dict[str, dict[int, bytes]]:
    """The PNGs of evaluations by name and step, both in order."""
    from aiexp.figure.growth import SHEET

    found: dict[str, dict[int, bytes]] = {}
    for path in sorted(folder.glob("*_step-*.png")) if folder.is_dir() else ():
        match = _STEP.fullmatch(path.name)
        if match is None or path.is_symlink() or path.stat().st_size > LARGEST_SHEET:
            continue
        data = path.read_bytes()
        if SHEET.encode() in data[:4096]:  # or it need not be decoded
            found.setdefault(match[1], {})[int(match[2])] = data
    return found
