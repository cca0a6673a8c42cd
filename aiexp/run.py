"""One run, from a composed config to a finished run directory. READ THIS FIRST.

torch is imported inside `train`, after what can fail without it has been checked.
"""

import importlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf

from aiexp.build import build
from aiexp.config import Composed, Job
from aiexp.rundir import RunDirectory, slug
from aiexp.secrets import redact, redact_text

if TYPE_CHECKING:
    from aiexp.hardware import Hardware


def run(composed: Composed, job: Job | None = None) -> int:
    """Runs a composed config in a new run directory; returns the exit code 0 or raises."""
    hardware = build(composed.config["hardware"])
    directory = make_directory(composed, job)
    return train(directory, hardware)


def train(directory: RunDirectory, hardware: "Hardware") -> int:
    """Trains what the directory's config says, from its newest checkpoint if it has one."""
    hardware.set_environment()
    from aiexp.session import Session
    from aiexp.state import seed_everything

    import_behind()
    with Session(directory) as session:
        config = session.config
        with session.preparing():
            hardware.start()
            seed_everything(config["seed"])
            dataset = build(config["dataset"])
            task = build(config["task"], model=build(config["model"]), dataset=dataset)
            trainer = build(config["trainer"])
            session.follow(build(config["tracker"]), hardware, task, dataset)
        metrics = trainer.fit(task, dataset, hardware, session)
        session.finish(metrics)
    return 0


def import_behind() -> None:
    """Imports, in a thread, what the first step will need while data and weights are read.

    An optimizer's first step imports torch's compiler though nothing is compiled: 1.7 s.
    """
    threading.Thread(target=importlib.import_module, args=("torch._dynamo",), daemon=True).start()


def make_directory(composed: Composed, job: Job | None) -> RunDirectory:
    """A new run directory with the config and the environment written into it."""
    from aiexp.environment import describe_environment

    config = cast(dict[str, Any], OmegaConf.to_container(composed.config, resolve=True))
    outputs = Path(config["outputs"])
    typed = [o for o in composed.overrides if not o.startswith(("task=", "outputs="))]
    if job is None:
        directory = RunDirectory.create(outputs / composed.choices["task"], redact_text(slug(typed)))
    else:
        directory = RunDirectory.create(job.sweep_dir, f"{job.index:03d}_{redact_text(slug(job.overrides))}")
    directory.write_config(redact(config), composed.choices, [redact_text(o) for o in composed.overrides])
    directory.write_environment(**describe_environment(), sweep=None if job is None else job.sweep_dir.name)
    directory.point_latest(outputs)
    return directory
