"""A run's trained task, built again from its directory alone: to predict, explain, export, serve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.config.folders import shown
from aiexp.config.objects.build import build
from aiexp.config.validate import validate
from aiexp.dataset.recalled import MissingExamplesError, Recalled
from aiexp.errors import AiexpError, ConfigError
from aiexp.experiment import build_task
from aiexp.model.carried import carried_by
from aiexp.rundir.code.copied import used_code_of
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, DATA, MODEL
from aiexp.rundir.weights import Say, checkpoint_path, checkpoint_steps, fitting, learned

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware
    from aiexp.task.base import Task

# Of a run on several devices: it is used by one process.
ALONE = {"devices": 1, "parallel": "ddp", "compile": False}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedRun:
    """A trained task.

    Args:
        directory: Of the run.
        config: As it was trained, checked and resolved.
        hardware: What it is used on.
        task: In evaluation mode, on that hardware, without gradients.
        step: Of the checkpoint that its weights are of.
    """

    directory: RunDirectory
    config: dict[str, Any]
    hardware: "Hardware"
    task: "Task"
    step: int

    @property
    def shown(self) -> str:
        """It in messages: its directory and the task that it trained."""
        return f"{shown(self.directory.path)} (task={self.directory.read_typed()[0].get('task')})"


def load_run(
    path: Path,
    *,
    step: int | None = None,
    say: Say | None = None,
    hardware: Mapping[str, Any] | None = None,
    lend: Callable[[dict[str, Any]], Any] | None = None,
) -> LoadedRun:
    """The trained task of a run; neither its data nor its pretrained model need be there any more.

    Random numbers of the process are left alone.

    Args:
        path: A run directory. It may be someone else's: its config is checked like any other, weights are
            read, nothing is unpickled.
        step: Of the checkpoint; None is the best one, or the newest where there is none.
        say: Hears what there is to know: an unfinished run, a damaged checkpoint.
        hardware: Settings in place of those of the run.
        lend: Makes of the config a data set that the task makes ready (tokenizes), to be evaluated on.

    Raises:
        CheckpointError: no run, no checkpoint, or none that is intact.
        ConfigError: its config or its weights are of another aiexp.
        SecurityError: its config names code that is not allowed.
    """
    say = say or (lambda _: None)
    directory = RunDirectory.open(path)
    checkpoint_steps(directory, step)
    with used_code_of(directory.path):
        config = validate(directory.read_config(), source=str(directory.path / CONFIG))
        device = made_hardware(config, hardware or {})
        from aiexp.checkpoint.state import load_random_state, random_state  # imports torch

        random = random_state()
        try:
            task = made_task(directory, config, say, lend(config) if lend else None)
        finally:
            load_random_state(random)  # its first weights were drawn in vain
    number = load_weights(task, directory, step, say)
    task.eval().requires_grad_(False)
    device.prepare(task)
    return LoadedRun(directory=directory, config=config, hardware=device, task=task, step=number)


def made_hardware(config: dict[str, Any], settings: Mapping[str, Any]) -> "Hardware":
    """The hardware of a config as far as it is here, for one process, with some settings of it changed."""
    own = config["hardware"]
    # Trained on another machine, it is used on what there is; on the CPU is where there is one everywhere.
    device = "cpu" if own.get("device") == "cpu" else "auto"
    hardware: Hardware = build({**own, **ALONE, "device": device, **settings})
    hardware.set_environment()  # before torch is imported
    hardware.start()
    return hardware


def made_task(directory: RunDirectory, config: dict[str, Any], say: Say, lent: Any = None) -> "Task":
    """The task without its weights: from what the run remembers, else from its data set.

    Args:
        directory: Of the run.
        config: Of the run.
        say: Hears if the data set has to be read.
        lent: See `Recalled`.

    Raises:
        AiexpError: the run remembers nothing, or the task cannot be built.
    """
    remembered = directory.read(DATA)
    with carried_by(directory.path / MODEL):
        if remembered.get("generated"):
            return build_task(config, build(config["dataset"]))
        try:
            return build_task(config, Recalled(remembered, lent))
        except MissingExamplesError as error:
            missing = error
    try:
        say(f"{missing.what}: the data set is read")
        return build_task(config, build(config["dataset"]))
    except AiexpError as error:
        raise missing from error


def load_weights(task: "Task", directory: RunDirectory, step: int | None, say: Say) -> int:
    """Puts the weights of a checkpoint into a task; returns its step.

    Raises:
        CheckpointError: there is none, or none that is intact.
        ConfigError: they do not fit.
    """
    run = learned(directory, step=step, say=say)
    with fitting(
        ConfigError, "the weights do not fit the task", where=str(checkpoint_path(directory, run.step)),
        fix="use them with the aiexp and the code that trained them",
    ):  # fmt: skip
        task.load_state_dict(dict(run.weights))
    return run.step
