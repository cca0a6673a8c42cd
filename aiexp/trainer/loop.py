"""The loop: steps, evaluations, checkpoints. It knows nothing of what is learned."""

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Protocol, final

from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.dataset.base import Dataset, Positioned
from aiexp.dataset.preview import first_batch
from aiexp.errors import AiexpError, CheckpointError, ConfigError, DataError, DivergedError
from aiexp.hardware.hardware import Hardware
from aiexp.session.follower import Follower
from aiexp.session.session import Session
from aiexp.session.stop import StopRequested
from aiexp.task.base import Progress, Task
from aiexp.task.contract import checked_epoch, training_batches
from aiexp.task.report import Evaluation
from aiexp.trainer.average import Averaging
from aiexp.trainer.clock import Clock
from aiexp.trainer.evaluation import evaluate
from aiexp.trainer.profile import Profile
from aiexp.trainer.restoring import fitting, restored
from aiexp.trainer.schedule import MultiStep, Schedule
from aiexp.trainer.selection import Selection
from aiexp.trainer.sharding import load_weights, prepare
from aiexp.trainer.stepper import Stepper


class Plan(Protocol):
    """What the loop asks of a `Trainer`."""

    accumulate: int
    clip: float | None
    log_every: int
    evaluate_every: int | str
    schedule: Schedule | MultiStep
    selection: Selection
    checkpoint: CheckpointPolicy
    profile: int

    def total_steps(self, dataset: Dataset) -> int:
        """Length of the run in optimizer steps."""
        ...


@final
class Loop:
    """One call of `Trainer.fit`: the state that a checkpoint saves, and the order of events."""

    def __init__(
        self,
        trainer: Plan,
        task: Task,
        dataset: Dataset,
        hardware: Hardware,
        session: Session | Follower,
    ) -> None:
        if dataset.num_examples("train") == 0:
            raise DataError("the training split is empty", where="dataset")
        self.trainer, self.task, self.dataset = trainer, task, dataset
        self.hardware, self.session, self.selection = hardware, session, trainer.selection
        self.world = hardware.world
        self.world.before_batch = self.check_stop
        task.join(self.world)
        self.total_steps = trainer.total_steps(dataset)
        self.has_eval = bool(dataset.num_examples("eval"))
        prepare(task, hardware)
        self.stepper = Stepper(
            task, hardware, schedule=trainer.schedule, total_steps=self.total_steps, clip=trainer.clip
        )
        self.averaging = Averaging(self.selection.average, task, self.total_steps)
        self.step = 0
        self.saved_step = 0
        self.evaluated = True  # whether the evaluation due at `step` is done
        self.metrics: dict[str, float] = {}
        self.tell_progress()

    def run(self) -> dict[str, float]:
        """The order of events, top to bottom."""
        self.session.begin(self.step, self.total_steps)
        self.world.watch()
        try:
            self.train()
        except StopRequested:
            self.save_last()
            raise
        except Exception as error:
            # What is being written is of before that. Of several ranks this one may be alone with its error.
            if self.world.size == 1 or isinstance(error, DivergedError):
                with suppress(AiexpError):
                    self.session.settle()
            raise
        self.save_last()
        if self.session.is_pruned:
            return self.metrics
        return self.metrics | self.final_evaluation()

    def train(self) -> None:
        """Steps until the end, a stop request, or the end of patience."""
        trainer, session = self.trainer, self.session
        self.tell_progress()
        self.finish_step()  # what was due at the step we resumed from
        batches = training_batches(self.task, self.dataset, self.step * trainer.accumulate)
        self.task.train()
        clock = Clock(self.step)
        profile = Profile(trainer.profile * self.world.is_leader, session.directory.path, session.say)
        while self.step < self.total_steps and not (self.selection.exhausted or session.is_pruned):
            with self.stoppable(), profile.step():
                self.stepper.step(self.step + 1, [next(batches) for _ in range(trainer.accumulate)])
            self.step += 1
            self.averaging.update(self.step)
            self.tell_progress()
            self.evaluated = False
            if self.step % trainer.log_every == 0 or self.step == self.total_steps:
                self.log(clock)
            elif session.progress_due():
                session.show(self.step, self.stepper.window)
            with clock.paused():
                session.settle(wait=False)
                self.finish_step()
            self.check_stop()
        profile.write()
        if self.world.largest(len(self.stepper.window)):  # ended early, between two lines
            self.log(clock)

    def tell_progress(self) -> None:
        """Lets the task know how far training is."""
        self.task.progress = Progress(step=self.step, total_steps=self.total_steps)

    def check_stop(self) -> None:
        """Ends the run, on all ranks at the same point, if any of them was asked to stop."""
        asked = self.world.largest(self.session.stop.requested or 0)
        if asked:
            self.session.stop.requested = int(asked)
            raise StopRequested

    def interruptible(self) -> AbstractContextManager[None]:
        """A body that a stop request ends at once; one of several ranks must not leave alone."""
        return self.session.stop.interruptible() if self.world.size == 1 else nullcontext()

    def stoppable(self) -> AbstractContextManager[None]:
        """A step that a stop request ends at once if it is the first since a checkpoint: none is lost then.

        The first step of a run may be a long one: an agent acts until it has something to learn from.
        """
        return self.interruptible() if self.saved_step == self.step else nullcontext()

    def finish_step(self) -> None:
        """Evaluates and saves if due at this step."""
        if self.evaluated:
            return
        is_best = False
        if self.has_eval and self.is_due(self.trainer.evaluate_every):
            evaluation = self.evaluate("eval")
            is_best = self.selection.update(self.step, evaluation.metrics)
            if is_best or self.selection.monitor is None:
                self.metrics = evaluation.metrics
            self.session.report(self.step, evaluation, is_best)
            self.session.ask_pruning(self.step, evaluation.metrics, is_last=self.step == self.total_steps)
            self.session.is_pruned = bool(self.world.from_leader(self.session.is_pruned))
        self.evaluated = True
        if is_best or self.is_due(self.trainer.checkpoint.every):
            self.save()

    def is_due(self, every: int | str) -> bool:
        """Whether something that happens `every` so often is due at this step; always at the last."""
        if self.step == self.total_steps:
            return True
        if isinstance(every, int):
            return self.step % every == 0
        per_epoch, accumulate = checked_epoch(self.dataset), self.trainer.accumulate
        assert per_epoch is not None  # `total_steps` has seen to it
        return self.step * accumulate // per_epoch > (self.step - 1) * accumulate // per_epoch

    def log(self, clock: Clock) -> None:
        """Writes the training metrics since the last line."""
        trainer = self.trainer
        metrics = self.stepper.take_metrics()
        if per_epoch := checked_epoch(self.dataset):
            metrics["train/epoch"] = self.step * trainer.accumulate / per_epoch
        seconds, steps = clock.lap(self.step)
        if steps:  # none after resuming where training has ended, between two lines
            metrics["time/step_seconds"] = seconds / steps
            examples = steps * trainer.accumulate * self.dataset.batch_size
            metrics["time/examples_per_second"] = examples / seconds
        self.session.log(self.step, metrics)

    def evaluate(self, split: str, *, report: bool = False, dataset: Dataset | None = None) -> Evaluation:
        """The task's evaluation of a split, everything under its full name (`eval/accuracy`)."""
        with self.averaging.used():
            evaluation = evaluate(
                self.task, dataset or self.dataset, split, self.hardware,
                report=report and (self.world.is_leader or self.world.is_sharded),
                interruptible=self.interruptible,
            )  # fmt: skip
        # Equal code may differ by a bit on another processor, and then one rank would decide otherwise.
        return replace(evaluation, metrics=self.world.from_leader(evaluation.metrics))

    def check_metrics(self) -> None:
        """Evaluates one batch, so that a wrong metric name or shape is found before the first step."""
        if self.selection.monitor is None:
            return
        if not self.has_eval:
            raise ConfigError(
                f"'{self.selection.monitor}' cannot be monitored: the data set has no 'eval' split",
                where="Selection.monitor", fix="Selection.monitor=null",
            )  # fmt: skip
        metrics = self.evaluate("eval", dataset=first_batch(self.dataset)).metrics
        self.selection.check(list(metrics))

    def final_evaluation(self) -> dict[str, float]:
        """Evaluates the best checkpoint on the test split, with pictures and tables."""
        best = self.selection.best
        if best is not None and best.step != self.step:
            with self.interruptible():
                self.load_best(best.step)
        split = "test" if self.dataset.num_examples("test") else "eval"
        if not self.dataset.num_examples(split):
            return {}
        evaluation = self.evaluate(split, report=True)
        self.session.report(self.step, evaluation, False)
        return evaluation.metrics

    def load_best(self, step: int) -> None:
        """Takes the weights of a checkpoint, on all ranks or, if one cannot read it, on none."""
        loaded = None
        try:
            loaded = restored(step, self.task, self.session, self.world)
        except CheckpointError as error:
            self.session.say(f"warning: {error.what} ({error.where}); testing the last weights instead")
        is_missed = self.world.largest(loaded is None)
        if loaded is None or is_missed:
            return
        model, state = loaded
        load_weights(self.task, model)
        self.averaging.drop()
        self.task.load_extra_state(state["task"])

    def save(self) -> None:
        """Writes a checkpoint of this step and deletes those no longer kept."""
        best = self.selection.best
        state: dict[str, Any] = {
            "step": self.step,
            "evaluated": self.evaluated,
            "stepper": self.stepper.state(),
            "selection": self.selection.state(),
            "metrics": self.metrics,
            "random": random_state(),
            "task": self.task.extra_state(),
        }
        if isinstance(self.dataset, Positioned):
            state["dataset"] = self.dataset.state(self.step * self.trainer.accumulate)
        self.stepper.check_weights(self.step)
        policy, best_step = self.trainer.checkpoint, None if best is None else best.step
        with self.averaging.used():
            state |= {"averaging": self.averaging.state()} if self.averaging.is_used else {}
            self.session.save(self.step, self.task.state_dict(), state, policy=policy, best=best_step)
        self.saved_step = self.step

    def save_last(self) -> None:
        """Sees to it that the checkpoint of this step is on the disk."""
        if self.saved_step != self.step:
            self.save()
        self.session.settle()

    def resume(self) -> None:
        """Continues from the newest checkpoint that verifies."""
        step = self.session.restore()
        if step is None:
            return
        model, state = restored(step, self.task, self.session, self.world)
        with fitting(str(self.session.checkpoints.directory)):
            load_weights(self.task, model)
            self.averaging.load_state(state.get("averaging"), model)
            self.stepper.load_state(state["stepper"])
            self.task.load_extra_state(state["task"])
            if isinstance(self.dataset, Positioned):
                self.dataset.load_state(state.get("dataset"))
            self.selection.load_state(state["selection"])
            self.session.load_state(state["session"])
            self.step = self.saved_step = state["step"]
            self.evaluated, self.metrics = state["evaluated"], state["metrics"]
            load_random_state(state["random"])
        if self.selection.exhausted:
            self.session.say("early stopping has ended the training; trainer.selection.patience=N goes on")
