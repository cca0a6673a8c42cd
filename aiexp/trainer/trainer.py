"""How long and how a task is trained: what the keys `trainer.*` say."""

from typing import Literal, final

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.dataset.base import Dataset
from aiexp.errors import ConfigError
from aiexp.hardware.hardware import Hardware
from aiexp.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from aiexp.session.follower import Follower
from aiexp.session.session import Session
from aiexp.task.base import Task
from aiexp.task.contract import checked_epoch
from aiexp.trainer.loop import Loop
from aiexp.trainer.schedule import MultiStep, Schedule
from aiexp.trainer.selection import Selection


@final
class Trainer:
    """Trains a task on a data set.

    Logs: train/loss and what else the updates of the task bring; train/gradient_norm (before clipping,
    where trainer.clip is set); train/learning_rate, or train/learning_rate/<name> of each of several
    optimizers; train/epoch (passes over the training split so far; not of a stream); time/step_seconds and
    time/examples_per_second (means since the last line, without evaluations and checkpoints).

    Args:
        steps: Length in optimizer steps; null to use `epochs`.
        epochs: Length in passes over the training split; null to use `steps`.
        accumulate: Batches per optimizer step.
        clip: Largest gradient norm; null does not clip.
        log_every: Optimizer steps between two lines of training metrics.
        evaluate_every: "epoch" or optimizer steps between two evaluations of the "eval" split.
        schedule: Learning-rate schedule over the whole length.
        selection: The metric that names the best checkpoint and may stop early.
        checkpoint: When to save, and what to keep.
        profile: Training steps whose operations are timed, after the first few; 0 times none.

    Raises:
        ConfigError: not exactly one of steps and epochs is given.
    """

    def __init__(
        self,
        *,
        steps: PositiveInt | None,
        epochs: PositiveFloat | None,
        accumulate: PositiveInt,
        clip: PositiveFloat | None,
        log_every: PositiveInt,
        evaluate_every: PositiveInt | Literal["epoch"],
        schedule: Schedule | MultiStep,
        selection: Selection,
        checkpoint: CheckpointPolicy,
        profile: NonNegativeInt,
    ) -> None:
        if (steps is None) == (epochs is None):
            raise ConfigError(
                f"steps is {steps} and epochs is {epochs}: give exactly one",
                where="steps", fix="for example steps=100 epochs=null",
            )  # fmt: skip
        self.steps, self.epochs, self.accumulate, self.clip = steps, epochs, accumulate, clip
        self.log_every = log_every
        self.evaluate_every: int | str = evaluate_every
        self.schedule, self.selection, self.checkpoint = schedule, selection, checkpoint
        self.profile = profile

    def total_steps(self, dataset: Dataset) -> int:
        """Length of the run in optimizer steps."""
        per_epoch = checked_epoch(dataset)  # of any run: its lines say the epoch
        if per_epoch is None:
            self.check_without_epochs()
        return self.steps or max(1, round((self.epochs or 0) * (per_epoch or 0) / self.accumulate))

    def check_without_epochs(self) -> None:
        """Raises `ConfigError` unless all is said in steps: nobody knows the length of an epoch."""
        if self.epochs is not None:
            where, fix = "Trainer.epochs", "Trainer.epochs=null Trainer.steps=<a number of steps>"
        elif "epoch" in (self.evaluate_every, self.checkpoint.every):
            key = "evaluate_every" if self.evaluate_every == "epoch" else "checkpoint.every"
            where, fix = f"Trainer.{key}", f"Trainer.{key}=<a number of steps>"
        else:
            return
        raise ConfigError("nobody knows how long an epoch of this data set is", where=where, fix=fix)

    def fit(
        self, task: Task, dataset: Dataset, hardware: Hardware, session: Session | Follower
    ) -> dict[str, float]:
        """Trains to the end, continuing from the session's newest checkpoint if there is one.

        Returns:
            The metrics of the best checkpoint, or of the last one where none is monitored: `eval/...`
            from its evaluation and `test/...` from the final one. A pruned run is not tested.

        Raises:
            Stopped: Ctrl-C or SIGTERM; a checkpoint of the last finished step is written.
            DivergedError: a loss or gradient is not finite.
        """
        with session.stop.interruptible():  # there is nothing to save yet
            loop = Loop(self, task, dataset, hardware, session)
        with loop.interruptible():
            loop.check_metrics()
            loop.resume()
        try:
            return loop.run()
        finally:
            hardware.world.rest()
