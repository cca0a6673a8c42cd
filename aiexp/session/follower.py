"""What a rank other than the leader has instead of a `Session`: the same calls, and nothing is written."""

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS
from aiexp.session.failure import explain
from aiexp.session.parts import Parts, check_same_data
from aiexp.session.saver import Saver
from aiexp.session.stop import StopSignal
from aiexp.world.world import World

if TYPE_CHECKING:
    from aiexp.checkpoint.store import CheckpointPolicy, CheckpointStore
    from aiexp.task.report import Evaluation
    from aiexp.tracker.base import Tracker
    from aiexp.tracker.several import SeveralTrackers


class Follower:
    """Use as a context: what ends the body becomes the error that its user can act on.

    Args:
        directory: The run directory; the leader holds its lock.
        config: Checked and resolved.
        stop: Watches for signals already.
        world: Whose rank this process is.
    """

    is_pruned = False

    def __init__(
        self, directory: RunDirectory, config: dict[str, Any], stop: StopSignal, world: World
    ) -> None:
        self.directory, self.config, self.stop, self.world = directory, config, stop, world
        self._saver = Saver(world)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        problem = explain(error, self.directory.path, os.path.relpath(self.directory.path), self.stop)
        if problem is not error:
            raise problem from error

    @property
    def checkpoints(self) -> "CheckpointStore":
        """Those of the run directory."""
        from aiexp.checkpoint.store import CheckpointStore

        return CheckpointStore(self.directory.path / CHECKPOINTS)

    def track_with(self, tracker: "Tracker | SeveralTrackers") -> None:
        """Nothing: the leader does it."""

    def follow(self, experiment: Parts, changes: list[str]) -> None:
        """Sees to it that this rank has read the leader's data."""
        from aiexp.task.contract import checked_fingerprint

        check_same_data(self.world, checked_fingerprint(experiment.dataset))

    def record_start(self, runs: list[dict[str, Any]]) -> None:
        """Nothing: the leader does it."""

    def begin(self, step: int, total_steps: int) -> None:
        """Nothing, as all that follows: the leader does it."""

    def say(self, line: str) -> None:
        """Nothing."""

    def progress_due(self) -> bool:
        """Never."""
        return False

    def show(self, step: int, window: dict[str, list[float]]) -> None:
        """Nothing."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Nothing."""

    def report(self, step: int, evaluation: "Evaluation", is_best: bool) -> None:
        """Nothing."""

    def ask_pruning(self, step: int, metrics: dict[str, float], *, is_last: bool) -> None:
        """Nothing."""

    def finish(self, metrics: dict[str, float]) -> None:
        """Nothing."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing."""

    def save(
        self, step: int, model: dict[str, Any], training: dict[str, Any],
        *, policy: "CheckpointPolicy", best: int | None,
    ) -> None:  # fmt: skip
        """Adds what this rank has to itself to the leader's checkpoint.

        Args:
            step: Its number.
            model: The same as the leader's, or other rows of it.
            training: The rest, of which this rank's part is saved.
            policy: How it is written.
            best: For the leader.
        """
        with self.stop.saving():
            self._saver.save(self.checkpoints, step, model, training, policy=policy, then=lambda _: None)

    def settle(self, *, wait: bool = True) -> None:
        """Lets the leader make it a checkpoint; unless it waits, only if all have written by now."""
        if wait or self._saver.is_writing:  # asked after every step
            with self.stop.saving():
                self._saver.settle(wait=wait)

    def restore(self) -> int | None:
        """The step that the leader goes on from."""
        return self.world.from_leader(None)
