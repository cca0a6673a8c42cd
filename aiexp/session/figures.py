"""Pictures and tables of evaluations as files: `figures/test/confusion_matrix_step-00000753.png`."""

from pathlib import Path

from aiexp.rundir.file import FIGURES
from aiexp.storage.files import storage_errors
from aiexp.task.report import Table
from aiexp.text.csv import csv_text


def write_picture(run: Path, step: int, name: str, picture: bytes) -> Path:
    """The file of a picture (PNG or GIF), written.

    Args:
        run: The run directory.
        step: The optimizer step.
        name: With the split: `test/confusion_matrix`.
        picture: Its content.

    Raises:
        StorageError: it cannot be written.
    """
    path = _path(run, step, name, "gif" if picture.startswith(b"GIF8") else "png")
    with storage_errors("writing a picture", path):
        path.write_bytes(picture)
    return path


def write_table(run: Path, step: int, name: str, table: Table) -> None:
    """Writes a table as CSV; arguments and errors are those of `write_picture`."""
    path = _path(run, step, name, "csv")
    with storage_errors("writing a table", path):
        path.write_text(csv_text([table.columns, *table.rows]), encoding="utf-8", newline="")


def _path(run: Path, step: int, name: str, suffix: str) -> Path:
    """Where it goes, the folder made."""
    path = run / FIGURES / f"{name}_step-{step:08d}.{suffix}"
    with storage_errors("making a folder", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path
