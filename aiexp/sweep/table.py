"""What a sweep says while it runs: a live table on a terminal, a line for each job elsewhere."""

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

from aiexp.config.folders import shown
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import METRICS, STATUS
from aiexp.rundir.state import State
from aiexp.sweep.ledger import Ledger
from aiexp.sweep.result import Result
from aiexp.text.number import duration
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import say, visible

if TYPE_CHECKING:
    from rich.table import Table as RichTable

ROWS = 20  # of running jobs, at most
TAIL_BYTES = 4096


@final
@dataclass(frozen=True, kw_only=True)
class Objective:
    """The metric that says which job is best.

    Args:
        name: Full name; None where nothing is monitored.
        mode: "max" or "min".
    """

    name: str | None
    mode: str

    def best(self, results: list[Result]) -> Result | None:
        """The best of some results, NaN and failures left out."""
        known = [r for r in results if r.exit_code == 0 and self.value(r) is not None]
        sign = 1 if self.mode == "max" else -1
        return max(known, key=lambda r: sign * (self.value(r) or 0.0), default=None)

    def value(self, result: Result) -> float | None:
        """The metric of a result; None if it has none or it is NaN."""
        value = result.metrics.get(self.name or "")
        return value if value is not None and value == value else None


@dataclass(frozen=True)
class Running:
    """A job under way: its own overrides, its log, when it started (`time.monotonic`)."""

    overrides: list[str]
    log: Path
    started: float


@final
class Table:
    """Use as a context.

    Args:
        directory: The sweep's.
        num_jobs: How many there are; None while nobody knows.
        num_slots: How many run at once.
        objective: What makes one job better than another.
    """

    def __init__(
        self, directory: Path, *, num_jobs: int | None, num_slots: int, objective: Objective
    ) -> None:
        self.directory, self.num_jobs, self.num_slots = directory, num_jobs, num_slots
        self.objective = objective
        self.results: list[Result] = []
        self.running: dict[int, Running] = {}
        self._exit = ExitStack()
        self._live = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, markup=False)
            live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live = self._exit.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()
        self._live = None

    def say(self, line: str) -> None:
        """A line that stays."""
        if self._live is None:
            say(line)
        else:
            self._live.console.print(f"aiexp: {visible(redact_text(line))}", soft_wrap=True)

    def started(self, index: int, overrides: list[str], log: Path) -> None:
        """A job has been started."""
        self.running[index] = Running(overrides, log, time.monotonic())

    def ended(self, result: Result) -> None:
        """A job has ended: said at once if it failed, or where there is no table to show it."""
        running = self.running.pop(result.index, None)
        self.results.append(result)
        if result.state == State.FAILED:
            self.say(f"job {result.index} failed: {' '.join(result.overrides)}")
            self.say(f"  {result.error}")
            if running is not None:
                self.say(f"  log: {shown(running.log)}")
        elif self._live is None and running is not None:
            value = self.objective.value(result)
            metric = "" if value is None else f"  {self.objective.name} {value:.4g}"
            self.say(
                f"job {result.index} {result.state} in {duration(result.seconds)}: "
                f"{' '.join(result.overrides)}{metric}  ({self.summary()})"
            )

    def refresh(self) -> None:
        """Redraws what is live."""
        if self._live is not None:
            self._live.update(self._rows(), refresh=True)

    def summary(self) -> str:
        """`5 of 16 done, 1 failed, best eval/accuracy 0.91 by job 3, 2 min left`."""
        failed = sum(r.state == State.FAILED for r in self.results)
        stopped = sum(r.state == State.STOPPED for r in self.results)
        done = len(self.results) - failed - stopped
        parts = [f"{done} done" if self.num_jobs is None else f"{done} of {self.num_jobs} done"]
        parts += [f"{count} {what}" for count, what in ((failed, "failed"), (stopped, "stopped")) if count]
        best = self.objective.best(self.results)
        if best is not None:
            parts.append(f"best {self.objective.name} {self.objective.value(best):.4g} by job {best.index}")
        left = self.seconds_left()
        if left:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """How long the rest takes if it is like what has ended; None while nobody can know."""
        times = [r.seconds for r in self.results if r.exit_code == 0]
        if not times or self.num_jobs is None:
            return None
        mean, now = sum(times) / len(times), time.monotonic()
        running = sum(max(mean - (now - r.started), 0.0) for r in self.running.values())
        waiting = self.num_jobs - len(self.results) - len(self.running)
        return (running + waiting * mean) / self.num_slots

    def _rows(self) -> "RichTable":
        """The table: a line for each running job, the summary below."""
        from rich.table import Table as RichTable

        table = RichTable(box=None, pad_edge=False, caption=visible(self.summary()), caption_justify="left")
        for name in ("job", "running", "step", "time", visible(self.objective.name or "")):
            table.add_column(name, justify="left" if name == "running" else "right", no_wrap=True)
        entries = Ledger(self.directory).entries()
        for index, running in list(self.running.items())[:ROWS]:
            entry = entries.get(index)
            step, value = self._progress(entry.directory) if entry and entry.directory else ("", "")
            seconds = duration(time.monotonic() - running.started)
            table.add_row(str(index), visible(redact_text(" ".join(running.overrides))), step, seconds, value)
        if len(self.running) > ROWS:
            table.add_row("", f"and {len(self.running) - ROWS} more", "", "", "")
        return table

    def _progress(self, directory: str) -> tuple[str, str]:
        """Step and last value of the objective of a run, as far as its files tell."""
        path = self.directory / directory
        step, value = 0, ""
        try:
            with (path / METRICS).open("rb") as file:
                file.seek(max(file.seek(0, 2) - TAIL_BYTES, 0))
                lines = file.read().split(b"\n")[:-1]
            for line in lines[-10:]:
                metrics = json.loads(line)
                step = metrics["step"]
                if self.objective.name in metrics:
                    value = f"{metrics[self.objective.name]:.4g}"
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            pass
        total = RunDirectory(path).read_json(STATUS).get("total_steps")
        return (f"{step}/{total}" if total else State.STARTING.value), value
