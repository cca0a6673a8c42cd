"""The first steps of a run trained again, and the numbers compared with its own. Nothing is written."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, final

from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.start import starts, typed
from aiexp.errors import CheckpointError, ConfigError, DataError
from aiexp.experiment import Experiment
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, ENVIRONMENT, METRICS
from aiexp.rundir.metrics import read_metrics
from aiexp.session.stop import StopSignal
from aiexp.world.world import World

if TYPE_CHECKING:
    from aiexp.task.report import Evaluation

Line = dict[str, Any]  # of metrics.jsonl
FEW_LINES = 3  # compared unless a number of steps is given


@final
class Replay:
    """What a trainer has instead of a session: keeps the lines and ends it after a step.

    Args:
        directory: The run's, which is only read.
        first: The step of a checkpoint to begin at; None for the beginning of a run.
        last: The step to end after.
        stop: Hears signals.
    """

    def __init__(self, directory: RunDirectory, first: int | None, last: int, stop: StopSignal) -> None:
        self.directory, self.first, self.last, self.stop = directory, first, last, stop
        self.lines: list[Line] = []
        self.is_pruned = False
        self.config: dict[str, Any] = {}
        self.world = World()

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Those of the run."""
        return CheckpointStore(self.directory.path / CHECKPOINTS)

    def restore(self) -> int | None:
        """The step to begin at."""
        return self.first

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keeps a line, and sees whether it is the last."""
        self.lines.append(comparable({"step": step, **metrics}))
        self.is_pruned = step >= self.last

    def report(self, step: int, evaluation: "Evaluation", is_best: bool) -> None:
        """The same of an evaluation."""
        self.log(step, evaluation.metrics)

    def begin(self, step: int, total_steps: int) -> None:
        """Nothing, as all that follows."""

    def say(self, line: str) -> None:
        """Nothing."""

    def progress_due(self) -> bool:
        """Never."""
        return False

    def show(self, step: int, window: dict[str, list[float]]) -> None:
        """Nothing."""

    def ask_pruning(self, step: int, metrics: dict[str, float], *, is_last: bool) -> None:
        """Nothing."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing."""

    def save(self, *_: object, **__: object) -> None:
        """Nothing."""

    def settle(self, *, wait: bool = True) -> None:
        """Nothing."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a comparison came to.

    Args:
        until: The last step up to which every number is the same; None if none is.
        num_numbers: So many are.
        difference: The first number that is not, in words; empty if there is none.
    """

    until: int | None
    num_numbers: int
    difference: str = ""


def recorded_lines(directory: RunDirectory, first: int, steps: int | None) -> list[Line]:
    """The lines that a run wrote while it trained, after a step and for so many steps.

    Args:
        directory: The run's.
        first: The step to begin after.
        steps: How many steps; None for a few lines.

    Raises:
        CheckpointError: it has written none.
        ConfigError: none in so few steps.
    """
    lines = [
        line
        for line in map(comparable, read_metrics(directory.path / METRICS, is_strict=True))
        if line["step"] > first and not any(name.startswith("test/") for name in line)
    ]
    if not lines:
        raise CheckpointError("the run has written no metrics: there is nothing to compare with",
                              where=str(directory.path / METRICS))  # fmt: skip
    numbers = list(dict.fromkeys(line["step"] for line in lines))
    last = numbers[min(FEW_LINES, len(numbers)) - 1] if steps is None else first + steps
    if not (found := [line for line in lines if line["step"] <= last]):
        raise ConfigError(
            f"the run has written its first numbers at step {numbers[0]}", where=f"--steps {steps}",
            fix=f"--steps {numbers[0] - first} or more",
        )  # fmt: skip
    return found


def comparable(line: Line) -> Line:
    """A line without what is measured with a clock."""
    return {name: value for name, value in line.items() if not name.startswith("time/")}


def check_origin(directory: RunDirectory, experiment: Experiment, started: list[dict[str, Any]]) -> None:
    """Raises the error for data, or weights that the run started from, that are not what they were.

    Args:
        directory: The run's.
        experiment: Built of its config.
        started: What `aiexp.trainer.starting` says of the weights now.
    """
    from aiexp.task.contract import checked_fingerprint

    recorded = directory.read_json(ENVIRONMENT)
    fingerprint = checked_fingerprint(experiment.dataset)
    if (recorded.get("dataset") or {}).get("fingerprint", fingerprint) != fingerprint:
        choice = directory.read_typed()[0].get("dataset")
        raise DataError(
            "the data set is not the one that this run was trained on", where=f"dataset={choice}",
            fix="restore its files",
        )  # fmt: skip
    for then, now in zip(recorded.get("started_from") or [], started, strict=False):
        if then.get("sha256") != now["sha256"]:
            raise CheckpointError(
                f"it has other weights than this run started from: those of step {then.get('step')} then, of "
                f"step {now['step']} now", where=typed(now["network"] or "", now["path"]),
            )  # fmt: skip


def replay(
    directory: RunDirectory, experiment: Experiment, config: dict[str, Any], replayed: Replay
) -> list[Line]:
    """Trains; returns the lines.

    Args:
        directory: The run's.
        experiment: Built of its config, nothing drawn since.
        config: Of the run.
        replayed: Takes the lines.
    """
    from aiexp.trainer.starting import start

    is_fresh = replayed.first is None and bool(starts(config))
    check_origin(directory, experiment, start(experiment.task, config, replayed.say) if is_fresh else [])
    experiment.fit(cast(Any, replayed))
    return replayed.lines


def compare(recorded: list[Line], trained: list[Line]) -> Verdict:
    """Compares numbers bit by bit, in order, until the first that differs.

    Args:
        recorded: By the run.
        trained: Now; may be fewer.
    """
    until: int | None = None
    count = 0
    for then, now in zip(recorded, trained, strict=False):
        odd = [name for name in {**then, **now} if repr(then.get(name)) != repr(now.get(name))]
        if odd:
            more = f", and {len(odd) - 1} more of that line" if odd[1:] else ""
            said = f"{odd[0]} {then.get(odd[0], 'missing')!r} then, {now.get(odd[0], 'missing')!r} now{more}"
            return Verdict(until=until, num_numbers=count, difference=f"at step {then['step']}: {said}")
        until, count = then["step"], count + len(then) - 1
    return Verdict(until=until, num_numbers=count)
