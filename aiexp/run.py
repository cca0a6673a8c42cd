"""One run, from a composed config to a finished run directory. READ THIS FIRST.

torch is imported inside `train`, after what can fail without it has been checked and signals are heard.
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf

from aiexp.checkpoint.manifest import saved_steps
from aiexp.config.composed import Composed
from aiexp.config.objects.address import addresses
from aiexp.config.objects.build import build
from aiexp.experiment import Experiment
from aiexp.rundir.code.own_code import record_imports, record_targets
from aiexp.rundir.directory import RunDirectory, slug
from aiexp.rundir.file import CHECKPOINTS, MODEL, TRAINED_BY
from aiexp.rundir.weights import check_starts, followed
from aiexp.session.follower import Follower
from aiexp.session.imports import import_behind
from aiexp.session.job import Job
from aiexp.session.joined import join
from aiexp.session.launcher import launch
from aiexp.session.node import Node
from aiexp.session.session import Session
from aiexp.session.stop import StopSignal
from aiexp.text.secrets import redact, redact_text
from aiexp.world.torchrun import is_torchrun

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware
    from aiexp.session.job import Pruning

Tell = Callable[[RunDirectory], object]


def run(composed: Composed, job: Job | None = None, tell: Tell = lambda _: None) -> int:
    """Runs a composed config in a new run directory, told to `tell`; returns the exit code 0 or raises."""
    config = cast(dict[str, Any], followed(OmegaConf.to_container(composed.config, resolve=True)))
    check_starts(config)
    from aiexp.rundir.environment import describe_environment

    if job is None and is_torchrun():
        join(config, lambda: make_directory(composed, config, None, describe_environment()), train)
    hardware = build(config["hardware"])
    environment = describe_environment() if job is None else job.environment
    with StopSignal() as stop:  # from now on there is something that has to know how it ended
        directory = make_directory(composed, config, job, environment)
        tell(directory)
        with directory.unless_refused() if job is None else nullcontext(), directory.starting():
            node = Node() if job is None else job.node
            if hardware.devices > 1 or not node.is_alone:
                trial = None if job is None or job.pruning is None else (str(job.sweep_dir), job.index)
                return launch(directory, config, hardware, stop, trial=trial, node=node)
            return train(directory, config, hardware, stop, pruning=None if job is None else job.pruning)


def train(
    directory: RunDirectory,
    config: dict[str, Any],
    hardware: "Hardware",
    stop: StopSignal,
    changes: list[str] | None = None,
    pruning: "Pruning | None" = None,
) -> int:
    """Trains what a config says in its run directory, from the newest checkpoint if there is one.

    Args:
        directory: Where everything goes.
        config: Checked and resolved.
        hardware: Built from it.
        stop: Hears the signals that end the run.
        changes: What was typed when resuming.
        pruning: Who may end the run early.
    """
    world = hardware.world
    session = (
        Session(directory, config, pruning, stop, world)
        if world.is_leader
        else Follower(directory, config, stop, world)
    )
    with session, addresses(config):
        with stop.interruptible():  # nothing is lost before the first step
            hardware.set_environment()
            session.track_with(build(config["tracker"]))
            import_behind()
            experiment = Experiment.of(on_its_own(config, session), hardware)
            experiment.start(config, session)
            session.follow(experiment, changes or [])
        if world.is_leader:
            for line in record_imports(directory.path, is_start=True):
                session.say(line)
        metrics = experiment.fit(session)
        if world.is_leader:
            record_imports(directory.path, is_start=False)
        session.finish(metrics)
    return 0


def on_its_own(config: dict[str, Any], session: Session | Follower) -> dict[str, Any]:
    """The config of a run that goes on from a checkpoint without the run whose network it began with."""
    path = session.directory.path
    model = config.get("model") or {}
    key = next((key for key in ("path", "name") if model.get(key) is not None), None)
    if key is None or not (path / MODEL / TRAINED_BY).exists() or not saved_steps(path / CHECKPOINTS):
        return config
    return {**config, "model": {**model, key: str(path)}}


def make_directory(
    composed: Composed, config: dict[str, Any], job: Job | None, environment: dict[str, Any]
) -> RunDirectory:
    """A new run directory with the config and the environment written into it, secrets masked."""
    outputs = Path(config["outputs"]).expanduser()
    typed = [redact_text(o) for o in composed.overrides]
    if job is None:
        named = [o for o in typed if not o.startswith(("task=", "outputs="))]
        directory = RunDirectory.create(outputs / composed.choices["task"], slug(named))
    else:
        directory = RunDirectory.at(job.directory)
        environment = environment | {"sweep": job.sweep_dir.name, "differs": job.overrides}
    with directory.starting():
        directory.write_environment(**environment)
        record_targets(directory.path, config)
        directory.write_config(redact(config), composed.choices, typed)  # last: who has it can be resumed
    directory.point_latest(outputs)
    return directory
