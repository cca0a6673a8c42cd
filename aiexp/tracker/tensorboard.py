"""TensorBoard event files beside the run directory's own records."""

import warnings
from pathlib import Path
from typing import Any, final

from aiexp.errors import HardwareError
from aiexp.ranges import PositiveFloat
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.notice import short_path

FOLDER = "tensorboard"


@final
class TensorBoardTracker:
    """Curves, pictures and tables for `tensorboard --logdir outputs`.

    Args:
        flush_seconds: After how long what was logged is on disk.
    """

    def __init__(self, *, flush_seconds: PositiveFloat) -> None:
        self.flush_seconds = flush_seconds
        self.writer: Any = None

    def prepare(self, directory: Path) -> None:
        """Imports the writer.

        Raises:
            HardwareError: if the package is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # its own
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            fix = "pip install 'aiexp[tensorboard]', or tracker=wandb"
            what = "the package tensorboard is not installed"
            raise HardwareError(what, where="tracker=tensorboard", fix=fix) from error
        self.make_writer = SummaryWriter

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Opens the event files in `<run directory>/tensorboard`.

        Raises:
            HardwareError: if the package is not installed.
        """
        self.prepare(run.directory)
        self.directory, self.is_resumed = run.directory / FOLDER, run.previous is not None
        look = f"tensorboard --logdir {short_path(run.directory.parent)}"  # all runs of the task
        return {"mode": "tensorboard", "dir": FOLDER, "look": look}

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One point a metric."""
        writer = self._writer_at(step)
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A picture; of a GIF the first frame."""
        import numpy as np
        from PIL import Image

        with Image.open(path, formats=("PNG", "GIF")) as picture:
            pixels = np.asarray(picture.convert("RGB"))  # (H, W, 3) uint8
        self._writer_at(step).add_image(name, pixels, step, dataformats="HWC")

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table as Markdown text."""
        rows = [table.columns, ["---"] * len(table.columns), *table.rows]
        lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
        self._writer_at(step).add_text(name, "\n".join(lines), step)

    def close(self, exit_code: int) -> None:
        """Writes what is left."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _writer_at(self, step: int) -> Any:
        """The writer; opened at the first step of a resumed run, it hides what the lost steps had logged."""
        if self.writer is None:
            purge_step = step if self.is_resumed else None
            self.writer = self.make_writer(
                str(self.directory), purge_step=purge_step, flush_secs=int(self.flush_seconds)
            )
        return self.writer


def _cell(value: str | int | float) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
