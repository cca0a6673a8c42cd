"""Where the time of some training steps goes, by torch's profiler: a table and a trace."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch

from aiexp.rundir.file import PROFILE
from aiexp.storage.files import storage_errors, write_text

WARM_UP = 5  # steps before, in which memory and kernels are made
ROWS, SHOWN_ROWS = 40, 8  # of the table in the file, and of what is said
NAME_COLUMNS = 50


@final
class Profile:
    """Records some steps, after a few others, and writes what they were made of.

    Args:
        steps: How many; 0 records none.
        folder: The run directory.
        say: Told the dearest operations.
    """

    def __init__(self, steps: int, folder: Path, say: Callable[[str], None]) -> None:
        self.steps, self.folder, self.say = steps, folder, say
        self.taken = -WARM_UP  # steps recorded; below 0: to come before the first
        self._profiler: Any = None

    @contextmanager
    def step(self) -> Generator[None]:
        """A body that is one training step."""
        if self.taken >= self.steps:
            yield
            return
        if self.taken == 0:
            self._profiler = torch.profiler.profile()
            self._profiler.start()
        with torch.profiler.record_function("a training step"):
            yield
        self.taken += 1
        if self.taken == self.steps:
            self.write()

    def write(self) -> None:
        """Ends recording and writes what there is, also of a run that ended before all steps."""
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        profiler.stop()
        averages, folder = profiler.key_averages(), self.folder / PROFILE
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with storage_errors("writing the profile", folder):
            folder.mkdir(exist_ok=True)
            profiler.export_chrome_trace(str(folder / "trace.json"))
            table = averages.table(
                sort_by=f"self_{device}_time_total", row_limit=ROWS, max_name_column_width=NAME_COLUMNS
            )
            write_text(folder / "table.txt", table)
        for line in dearest(averages, max(self.taken, 1), device):
            self.say(line)
        self.say(f"profile   {folder}: table.txt, and trace.json for ui.perfetto.dev")
        self.taken = self.steps


def dearest(averages: Any, steps: int, device: str) -> list[str]:
    """The operations that took the most time themselves: milliseconds a step, share, calls a step."""

    def own(event: Any) -> float:
        return event.self_device_time_total if device == "cuda" else event.self_cpu_time_total

    events = sorted(averages, key=own, reverse=True)
    total = sum(map(own, events)) or 1.0
    lines = [f"profile   of {steps} steps, {total / steps / 1e3:.1f} ms each"]
    for event in events[:SHOWN_ROWS]:
        share, calls = own(event) / total, event.count / steps
        lines.append(f"  {own(event) / steps / 1e3:9.2f} ms {share:6.1%} {calls:7.1f} x  {event.key}")
    return lines
