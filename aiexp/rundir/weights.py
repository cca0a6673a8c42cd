"""What a run has learned: the weights of one of its checkpoints, for whoever uses them. torch comes late."""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.checkpoint.manifest import saved_steps, weights_digest
from aiexp.config.folders import shown
from aiexp.config.start import starts, typed
from aiexp.errors import AiexpError, CheckpointError, OtherFormatError, reason_of
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, ENVIRONMENT, STATUS
from aiexp.rundir.lock import actual_state
from aiexp.rundir.named import short_name
from aiexp.rundir.record import read_record
from aiexp.rundir.state import COMPLETE, UNDER_WAY, State
from aiexp.storage.mark import is_run_directory

if TYPE_CHECKING:
    from torch import Tensor

Say = Callable[[str], object]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """The weights of a run.

    Args:
        directory: The run's.
        step: Of the checkpoint.
        weights: By their names in the task: "model.conv1.weight".
    """

    directory: RunDirectory
    step: int
    weights: "Mapping[str, Tensor]"

    def record(self) -> dict[str, Any]:
        """What is written down by who goes on from here."""
        return origin(self.directory, self.step)


def origin(directory: RunDirectory, step: int) -> dict[str, Any]:
    """A checkpoint as JSON values: the run's path and id, the step, what its weights are known by."""
    return {
        "path": str(directory.path),
        "run_id": directory.read_json(ENVIRONMENT).get("run_id"),
        "step": step,
        "sha256": weights_digest(checkpoint_path(directory, step)),
    }


def checkpoint_path(directory: RunDirectory, step: int) -> Path:
    """Where a checkpoint of a run lies."""
    return directory.path / CHECKPOINTS / f"step-{step:08d}"


def checkpoint_steps(directory: RunDirectory, step: int | None = None) -> list[int]:
    """The steps that have a checkpoint, oldest first.

    Args:
        directory: The run's.
        step: One that must be among them.

    Raises:
        CheckpointError: there is none, or not that one.
    """
    steps = saved_steps(directory.path / CHECKPOINTS)
    if step is not None and step not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise CheckpointError(
            f"the run has no checkpoint of step {step}", where=str(directory.path), fix=f"there are {there}"
        )
    if not steps:
        raise without_checkpoint(directory)
    return steps


def without_checkpoint(directory: RunDirectory) -> CheckpointError:
    """The error for a run that has no checkpoint: by how far it has come."""
    record, short = read_record(directory.path), short_name(directory.path)
    state = actual_state(record)
    if state in UNDER_WAY:
        what, fix = "the run has no checkpoint yet", "wait for its first one (trainer.checkpoint.every)"
    elif state == State.FAILED:
        what = f"the run failed before its first checkpoint: {record.problem or 'it does not say why'}"
        fix = "start it again, or name another run: aiexp runs"
    elif state in COMPLETE:
        what, fix = f"the run is {state}, and has no checkpoint any more", "name another run: aiexp runs"
    else:
        verb = "was stopped" if state == State.STOPPED else str(state)
        what, fix = f"the run {verb} before its first checkpoint", f"let it go on: aiexp resume {short}"
    return CheckpointError(what, where=str(directory.path), fix=fix)


def learned(directory: RunDirectory, *, step: int | None = None, say: Say | None = None) -> Learned:
    """The weights of a run's checkpoint.

    Args:
        directory: The run's.
        step: Of the checkpoint; None is the best one, or the newest where there is none.
        say: Hears what there is to know: an unfinished run, a damaged checkpoint.

    Raises:
        CheckpointError: there is none, or none that is intact.
    """
    from aiexp.checkpoint.store import CheckpointStore

    say = say or (lambda _: None)
    steps, status = checkpoint_steps(directory, step), directory.read_json(STATUS)
    best = status.get("best_step")
    wanted = step if step is not None else best if best in steps else steps[-1]
    state = State(status.get("state") or State.STARTING)
    if state is not State.FINISHED and step is None:
        kind = "best" if wanted == best else "newest"
        say(f"the run is {state}: its {kind} checkpoint so far is used, step {wanted}")
    others = [] if step is not None else [number for number in reversed(steps) if number != wanted]
    store = CheckpointStore(directory.path / CHECKPOINTS)
    for number in (order := [wanted, *others]):
        try:
            return Learned(directory=directory, step=number, weights=store.load_weights(number))
        except OtherFormatError:
            raise
        except CheckpointError as error:
            if number == order[-1]:
                raise
            say(f"step {number}: {error.what}; another checkpoint is used")
    raise AssertionError


@contextmanager
def fitting(kind: type[AiexpError], what: str, *, where: str, fix: str) -> Generator[None]:
    """A body that puts weights into a network; if they do not fit it, that is an error of this kind.

    Args:
        kind: Of the error.
        what: Is said, with torch's reason.
        where: Is named.
        fix: What to do.
    """
    try:
        yield
    except RuntimeError as error:
        raise kind(f"{what}: {reason_of(error)}", where=where, fix=fix) from error


def open_start(network: str, run: str) -> RunDirectory:
    """The run directory of `start_from`, which has a checkpoint.

    Raises:
        AiexpError: there is no such run, or it has none; it names the key.
    """
    try:
        directory = RunDirectory.open(Path(run).expanduser())
        checkpoint_steps(directory)
    except AiexpError as error:
        error.where = f"{typed(network, run)}: {error.where}"
        raise
    return directory


def check_starts(config: Mapping[str, Any]) -> None:
    """Raises the error of `open_start` for any run that a config starts from."""
    for network, run in starts(config).items():
        open_start(network, run)


def followed(value: Any) -> Any:
    """A value of a config with links to runs, such as `outputs/latest`, replaced by where they lead now.

    They lead elsewhere once the new run has begun.
    """
    if isinstance(value, dict):
        return {key: followed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [followed(item) for item in value]
    if not isinstance(value, str) or not os.path.islink(path := os.path.expanduser(value)):
        return value
    target = Path(os.path.realpath(path))
    return shown(target) if is_run_directory(target) else value


def followed_word(word: str) -> str:
    """`KEY=VALUE,VALUE` with the same done to each value."""
    key, equals, values = word.partition("=")
    return f"{key}{equals}{','.join(followed(value) for value in values.split(','))}"
