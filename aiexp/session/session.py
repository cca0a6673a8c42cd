"""A run directory while a process works on it: lock, log, signals, status, metrics, tracker."""

import math
import os
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from aiexp.errors import AiexpError, DataError
from aiexp.hardware.memory import peak_memory_bytes
from aiexp.rundir.changes import check_changes
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, ENVIRONMENT, ERROR_LOG, FIGURES, LOG, METRICS
from aiexp.rundir.metrics import MetricsFile
from aiexp.rundir.seal import make_seal
from aiexp.rundir.state import State
from aiexp.session.closing import brief, look_lines, next_lines, places, prediction_example, result_table
from aiexp.session.display import Display
from aiexp.session.failure import explain
from aiexp.session.figures import draw_last, write_figures
from aiexp.session.parts import Parts, check_same_data, described_parameters, described_sizes
from aiexp.session.resumption import newest_intact
from aiexp.session.saver import Saver
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.storage.files import storage_errors
from aiexp.task.report import Evaluation
from aiexp.text.number import duration, file_size
from aiexp.text.secrets import redact, redact_text
from aiexp.tracker.base import RunInfo, Tracker
from aiexp.tracker.following import Following
from aiexp.tracker.none import NullTracker
from aiexp.tracker.run_info import describe_run
from aiexp.world.world import World

if TYPE_CHECKING:  # a session begins, and hears signals, before torch is imported
    from aiexp.checkpoint.store import CheckpointPolicy, CheckpointStore
    from aiexp.session.job import Pruning
    from aiexp.tracker.several import SeveralTrackers


@final
class Session:
    """Use as a context: whatever ends the body is written into status.json before it goes on.

    Args:
        directory: The run directory; locked for this process.
        config: Checked and resolved; written down with secrets masked.
        pruning: Who may end the run early; None for nobody.
        stop: Watches for signals already; None for one that begins to.
        world: Whose leader this process is; None if it is alone.

    Raises:
        StorageError: another process works on the directory, or it cannot be written.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: dict[str, Any],
        pruning: "Pruning | None" = None,
        stop: StopSignal | None = None,
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        self.directory = directory
        self.is_pruned = False
        self._pruning = pruning
        self.config: dict[str, Any] = redact(config)
        self.stop = stop or StopSignal()
        self._watch = nullcontext() if stop else self.stop
        self._exit = ExitStack()
        self._tracker = Following(NullTracker(), "none", directory.path)
        self._info: RunInfo | None = None  # of the run, until training begins
        self._started = time.monotonic()
        self._elapsed_before = 0.0
        self._throughput = ""
        self._example: str | None = None  # of what `aiexp predict` takes
        self._saver = Saver(self.world)

    def __enter__(self) -> Self:
        with ExitStack() as entered:  # left again if something here fails
            self._open(entered)
            self._exit = entered.pop_all()
        return self

    def _open(self, entered: ExitStack) -> None:
        directory = self.directory
        entered.callback(directory.lock().close)
        entered.enter_context(self._watch)
        self.display = Display(directory.path / LOG)
        entered.callback(self.display.close)
        entered.enter_context(self.display.repeat_warnings())
        self.metrics = MetricsFile(directory.path / METRICS)
        entered.callback(self.metrics.close)
        directory.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.display.end()
            problem = (
                None if error is None else explain(error, self.directory.path, self.shown_path, self.stop)
            )
            exit_code = 0 if problem is None else getattr(problem, "exit_code", 1)
            state = State.PRUNED if self.is_pruned and not exit_code else State.of_exit_code(exit_code)
            text = None if problem is None else redact_text(str(problem))
            if problem is not None and problem is error and not isinstance(problem, AiexpError):
                self._write_traceback(problem)
            with suppress(AiexpError):  # the error under way matters more than one of writing it down
                if text:
                    self.display.say(text, terminal=False)
            with suppress(AiexpError):
                self.directory.write_status(
                    state=state, exit_code=exit_code, error=text,
                    seconds=round(self._seconds, 1), peak_memory_bytes=peak_memory_bytes(),
                )  # fmt: skip
            self.stop.outcome = exit_code
            asked = bool(self.stop.requested)  # then it is a second Ctrl-C that ends the upload
            with suppress(StopRequested), nullcontext() if asked else self.stop.interruptible():
                self._tracker.close(exit_code)  # last: its upload may take a minute
        finally:
            self._exit.close()
        if problem is not None and problem is not error:
            raise problem from error

    def _write_traceback(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        with suppress(OSError):
            (self.directory.path / ERROR_LOG).write_text(redact_text(text), encoding="utf-8")

    @property
    def _seconds(self) -> float:
        """Of work on this run, also by the processes before this one."""
        return self._elapsed_before + time.monotonic() - self._started

    @property
    def shown_path(self) -> str:
        """The run directory as a user would type it."""
        relative = os.path.relpath(self.directory.path)
        return str(self.directory.path) if relative.startswith("..") else relative

    @cached_property
    def checkpoints(self) -> "CheckpointStore":
        """Those of the run directory."""
        from aiexp.checkpoint.store import CheckpointStore

        return CheckpointStore(self.directory.path / CHECKPOINTS)

    def track_with(self, tracker: "Tracker | SeveralTrackers") -> None:
        """Lets trackers prepare; they start when training begins, so that they never see what is refused."""
        name = self.directory.read_typed()[0].get("tracker") or "tracker"
        self._tracker = Following(tracker, name, self.directory.path)
        self._tracker.prepare()

    def follow(self, experiment: Parts, changes: list[str]) -> None:
        """Says and records what the run consists of.

        Args:
            experiment: Built.
            changes: What was typed when resuming.
        """
        from aiexp.dataset.recalled import remember
        from aiexp.task.contract import checked_fingerprint

        directory = self.directory
        choices, overrides = directory.read_typed()
        if changes:
            overrides += [redact_text(c) for c in changes]
            directory.write_config(self.config, choices, overrides)
        hardware, sizes = experiment.hardware, experiment.sizes
        description = experiment.task.describe()
        self._example = prediction_example(experiment.task)
        self.say(f"run       {self.shown_path}")
        self.say(f"hardware  {hardware.describe()}")
        counts = described_sizes(experiment, self.config.get("dataset", {}).get("limit"))
        self.say(f"dataset   {choices.get('dataset')}: {counts}")
        model = f"{choices['model']}: " if "model" in choices else ""
        self.say(f"model     {model}{described_parameters(experiment)}")
        self._tracker.wait()  # the evaluation that comes next may fork
        environment = directory.read(ENVIRONMENT)
        fingerprint = checked_fingerprint(experiment.dataset)
        check_same_data(self.world, fingerprint)
        if (environment.get("dataset") or {}).get("fingerprint", fingerprint) != fingerprint:
            raise DataError(
                "the data set is not the one that this run began with",
                where=f"dataset={choices.get('dataset')}",
                fix="restore its files, or start a new run",
            )
        known = {split: count for split, count in sizes.items() if count is not None}
        directory.keep(remember(experiment.dataset), experiment.carried)
        directory.write_environment(
            hardware=hardware.record(),
            dataset={"examples": known, "fingerprint": fingerprint},
            parameters=experiment.num_parameters,
            trained_parameters=experiment.num_trained,
            task=description,
        )
        self._info = describe_run(directory, self.config, description, self.display.log_bytes)

    def record_start(self, runs: list[dict[str, Any]]) -> None:
        """Writes down the runs whose weights this one starts from."""
        self.directory.write_environment(started_from=runs)

    def begin(self, step: int, total_steps: int) -> None:
        """Training begins at `step`."""
        if self._info is not None:
            with self.stop.interruptible():  # nothing is lost before the first step
                self.directory.write_environment(tracker=self._tracker.start(self._info))
        self.directory.write_status(step=step, total_steps=total_steps)
        self.display.begin(step, total_steps)

    def say(self, line: str) -> None:
        """One line to the terminal and run.log."""
        self.display.say(line)

    def progress_due(self) -> bool:
        """Whether the bar wants to be redrawn."""
        return self.display.is_due()

    def show(self, step: int, window: dict[str, list[float]]) -> None:
        """Redraws the bar with the running mean of the loss."""
        losses = [
            f"{name} {total / count:.4f}"
            for name, (total, count) in window.items()
            if name.startswith("loss")
        ]
        self.display.show(step, "  ".join([*losses, self._throughput]))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Training metrics to the file, the tracker, the log and the bar."""
        self.metrics.append(step, metrics)
        self._tracker.log(step, metrics)
        if "time/examples_per_second" in metrics:
            self._throughput = f"{metrics['time/examples_per_second']:.0f} examples/s"
        self.display.say(f"step {step}  " + brief(metrics), terminal=False)
        losses = {k[6:]: [v, 1.0] for k, v in metrics.items() if k.startswith("train/loss")}
        self.show(step, losses)

    def report(self, step: int, evaluation: Evaluation, is_best: bool) -> None:
        """An evaluation to the file, the tracker and the terminal; pictures and tables to figures/."""
        self.metrics.append(step, evaluation.metrics)
        self.directory.add_better(evaluation.better)
        self._tracker.log(step, evaluation.metrics)
        self.display.say(f"step {step}  {brief(evaluation.metrics)}{'  best so far' if is_best else ''}")
        undefined = [name for name, value in evaluation.metrics.items() if not math.isfinite(value)]
        if undefined:
            self.say(f"warning: not finite at step {step}: {', '.join(undefined)}")
        write_figures(self.directory.path / FIGURES, step, evaluation, self._tracker)

    def ask_pruning(self, step: int, metrics: dict[str, float], *, is_last: bool) -> None:
        """Lets the search that this run is a trial of end it after an evaluation: `is_pruned`."""
        if self._pruning is None:
            return
        try:
            self.is_pruned = self._pruning.report(step, metrics) and not is_last
        except AiexpError as error:  # the study's trouble is not the run's
            self._pruning = None
            self.say(f"warning: this run is not pruned any more: {error.what} ({error.where})")
        if self.is_pruned:
            self.say(f"pruned at step {step}: the search has seen better runs")

    def finish(self, metrics: dict[str, float]) -> None:
        """The run is complete: records and says its results."""
        self.display.end()
        self.directory.write_status(metrics=metrics, seal=make_seal(self.directory.path, metrics))
        if problem := draw_last(self.directory, self.config):
            self.say(f"warning: {problem}")
        ended = "pruned" if self.is_pruned else "finished"
        self.say(
            f"{ended} after {duration(self._seconds)}, {file_size(peak_memory_bytes())} of memory at most"
        )
        shown, directory = self.shown_path, self.directory
        self.display.say_block(result_table(metrics))
        lines = places(directory, shown) + look_lines(directory)
        self.display.say_block(lines + next_lines(directory, shown, self._example))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of the session."""
        return {
            "metrics_bytes": self.metrics.sync(),
            "metrics_sha256": self.metrics.digest,
            "elapsed_seconds": self._seconds,
            "config": self.config,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Cuts the metrics where the checkpoint was written.

        Raises:
            ConfigError: the config has changed since in a way that makes the steps so far another run's.
        """
        for change in check_changes(state["config"], self.config):
            self.say(f"changed since the checkpoint: {change}")
        self.metrics.cut(state["metrics_bytes"], state["metrics_sha256"])
        self._elapsed_before = state["elapsed_seconds"]

    def save(
        self, step: int, model: dict[str, Any], training: dict[str, Any],
        *, policy: "CheckpointPolicy", best: int | None,
    ) -> None:  # fmt: skip
        """Writes a checkpoint, or begins to, and deletes those no longer kept once it is there.

        Args:
            step: Its number.
            model: Tensors by name.
            training: The rest of the state; the session adds its own.
            policy: How it is written, and how many of the newest to keep.
            best: The step of one to keep besides, if any.
        """

        def published(delete: Callable[[Path], object]) -> None:
            self.checkpoints.prune(policy.keep_last, best, delete)
            self.directory.write_status(step=step, best_step=best)

        with self.stop.saving():
            state = training | {"session": self.state()}
            self._saver.save(self.checkpoints, step, model, state, policy=policy, then=published)

    def settle(self, *, wait: bool = True) -> None:
        """Makes what is being written a checkpoint; unless it waits, only if it is written by now."""
        if wait or self._saver.is_writing:  # asked after every step
            with self.stop.saving():
                self._saver.settle(wait=wait)

    def restore(self) -> int | None:
        """The step that was saved last; None at the beginning of a run.

        Raises:
            CheckpointError: there are checkpoints and none is intact.
        """
        with storage_errors("tidying the checkpoints", self.checkpoints.directory):
            self.checkpoints.clean()
        step = self.world.from_leader(newest_intact(self.checkpoints, self.say))
        if step is None:
            self.metrics.cut(0)
        return step
