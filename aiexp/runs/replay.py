"""The first steps of a run trained again, and the numbers compared with its own. Nothing is written."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.config.objects.address import addresses
from aiexp.config.objects.build import build
from aiexp.config.start import starts, typed
from aiexp.errors import CheckpointError, ConfigError, DataError, HardwareError, Stopped
from aiexp.experiment import Experiment
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import ENVIRONMENT, METRICS, MODEL, TRAINED_BY
from aiexp.rundir.metrics import read_metrics
from aiexp.rundir.then import changes, compared
from aiexp.session.follower import Follower
from aiexp.session.launcher import have_trained
from aiexp.session.node import Node
from aiexp.session.stop import StopSignal
from aiexp.text.terminal import out, say_lines
from aiexp.world.world import FOLDER

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware
    from aiexp.task.report import Evaluation

Line = dict[str, Any]  # of metrics.jsonl
FEW_LINES = 3  # compared unless a number of steps is given
LINES = "lines.json"  # in the folder of what ranks leave: those of the leader


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The steps that are trained again.

    Args:
        first: The step of a checkpoint to begin at; None for the beginning of a run.
        last: The step to end after.
    """

    first: int | None
    last: int


@final
class Replay(Follower):
    """Follows a run that is trained again: keeps the lines and ends it after a step.

    Args:
        directory: The run's, which is only read.
        config: Of the run.
        stop: Hears signals.
        hardware: Built from the config.
        span: The steps.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: dict[str, Any],
        stop: StopSignal,
        hardware: "Hardware",
        span: Span,
    ) -> None:
        super().__init__(directory, config, stop, hardware.world)
        self.hardware, self.span = hardware, span
        self.lines: list[Line] = []

    def train(self) -> list[Line]:
        """Trains; returns the lines.

        Raises:
            AiexpError: as of a run; `Stopped` after a signal.
        """
        from aiexp.trainer.starting import start

        try:
            with self, addresses(self.config):
                with self.stop.interruptible():
                    self.hardware.set_environment()
                    experiment = Experiment.of(self.config, self.hardware)
                    if self.world.is_leader:
                        self.say_hardware()
                    is_fresh = self.span.first is None and bool(starts(self.config))
                    started = start(experiment.task, self.config, self.say) if is_fresh else []
                    check_origin(self.directory, experiment, started)
                experiment.fit(self)
        except Stopped as stopped:
            raise Stopped("stopped before the steps were compared", exit_code=stopped.exit_code) from None
        return self.lines

    def say_hardware(self) -> None:
        """What of it differs from that of the run."""
        then: dict[str, Any] = self.directory.read_json(ENVIRONMENT).get("hardware") or {}
        out(compared("hardware", changes(then, self.hardware.record())))

    def restore(self) -> int | None:
        """The step to begin at."""
        return self.span.first

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keeps a line, and sees whether it is the last."""
        self.lines.append(comparable({"step": step, **metrics}))
        self.is_pruned = step >= self.span.last

    def report(self, step: int, evaluation: "Evaluation", is_best: bool) -> None:
        """The same of an evaluation."""
        self.log(step, evaluation.metrics)

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
    pairs = [
        (then, now, typed(now["network"] or "", now["path"]))
        for then, now in zip(recorded.get("started_from") or [], started, strict=False)
    ]
    path = directory.path / MODEL / TRAINED_BY
    if path.is_file() and TRAINED_BY in experiment.carried:
        then, now = (json.loads(text) for text in (path.read_bytes(), experiment.carried[TRAINED_BY]))
        pairs.append((then, now, f"model.path={now['path']}"))
    for then, now, where in pairs:
        if then.get("sha256") != now["sha256"]:
            raise CheckpointError(
                f"it has other weights than this run started from: {named(then)} then, {named(now)} now",
                where=where, fix="restore that run's checkpoint",
            )  # fmt: skip


def named(origin: dict[str, Any]) -> str:
    """Weights by their step and the beginning of their sha256."""
    return f"step {origin.get('step')} ({str(origin.get('sha256'))[:8]})"


def replay(directory: RunDirectory, config: dict[str, Any], span: Span) -> list[Line]:
    """Trains steps of a run again, by as many processes as trained it; returns the lines.

    Args:
        directory: The run's.
        config: Of the run, checked.
        span: The steps.

    Raises:
        AiexpError: as of a run; this machine has fewer GPUs; `Stopped` after a signal.
    """
    config, hardware = on_as_many(directory, config)
    with StopSignal() as stop:
        if hardware.devices == 1:
            return Replay(directory, config, stop, hardware, span).train()
        job = {
            "directory": str(directory.path.absolute()), "config": config, "changes": [], "trial": None,
            "span": asdict(span),
        }  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="aiexp-replay-", ignore_cleanup_errors=True) as folder:
            logs = Path(folder)
            cause = have_trained(job, logs, hardware, stop, Node(), {})
            if cause is None:
                return json.loads((logs / LINES).read_text(encoding="utf-8"))
            for log in sorted(logs.glob("rank-*.log")) if cause.exit_code == 1 else []:
                say_lines(log.read_text(encoding="utf-8", errors="replace"))  # nobody can read it later
            raise cause


def replay_together(job: dict[str, Any], directory: RunDirectory, stop: StopSignal) -> None:
    """Does it as one of several ranks; the leader leaves the lines beside what ranks leave.

    Args:
        job: What `replay` has told the ranks.
        directory: The run's.
        stop: Hears signals.
    """
    hardware: Hardware = build(job["config"]["hardware"])
    lines = Replay(directory, job["config"], stop, hardware, Span(**job["span"])).train()
    if hardware.world.is_leader:
        Path(os.environ[FOLDER], LINES).write_text(json.dumps(lines), encoding="utf-8")


def on_as_many(directory: RunDirectory, config: dict[str, Any]) -> "tuple[dict[str, Any], Hardware]":
    """The config and the hardware of a run with as many processes as trained it, which round alike.

    Raises:
        HardwareError: this machine has fewer GPUs.
    """
    from aiexp.hardware.hardware import count_gpus

    then: dict[str, Any] = directory.read_json(ENVIRONMENT).get("hardware") or {}
    devices, chosen = then.get("devices", 1), config["hardware"]
    num_gpus = 0 if chosen.get("device") == "cpu" else count_gpus()
    if devices > 1 and num_gpus < devices and (num_gpus or then.get("device") == "cuda"):
        raise HardwareError(
            f"the run was trained by {devices} processes together, which round otherwise than fewer, and "
            f"this machine has {num_gpus} GPU{'' if num_gpus == 1 else 's'} for them",
            where=str(directory.path),
            fix=f"reproduce it on a machine with {devices} GPUs",
        )  # fmt: skip
    config = {**config, "hardware": {**chosen, "devices": devices}}
    return config, build(config["hardware"])


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
