"""`aiexp resume RUN|SWEEP [KEY=VALUE ...]`: continue a run, or a sweep, exactly where it stopped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiexp.command.flags import TRUST, Flags
from aiexp.command.help import lacks_words
from aiexp.config.dotted import flatten
from aiexp.config.validate import validate
from aiexp.errors import CheckpointError
from aiexp.rundir.assigned import assigned, one_path, refuse_masked
from aiexp.rundir.changes import check_changes
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, STATUS, TYPED
from aiexp.rundir.named import named
from aiexp.rundir.state import State
from aiexp.sweep.definition import DEFINITION
from aiexp.text.secrets import redact
from aiexp.text.terminal import out
from aiexp.world.torchrun import is_torchrun

ENDED = {State.FINISHED: "already complete", State.PRUNED: "pruned by its search, which saw better runs"}
LONGER = ("trainer.steps", "trainer.epochs", "trainer.selection.patience")  # what can make a run go on
HELP = """\
usage: aiexp resume RUN|SWEEP [KEY=VALUE ...]

Continues a stopped, failed or killed run in its own directory, from its newest
intact checkpoint: same weights, same data order, same random numbers, same W&B
run. RUN is a run directory, for example outputs/latest.

KEY=VALUE changes what may change: length, evaluation and checkpoint intervals,
tracker, hardware.
  aiexp resume outputs/latest
  aiexp resume outputs/latest trainer.epochs=5

SWEEP is a sweep's directory: jobs that are complete are skipped, those that
were stopped continue, those that failed run again. Nothing but settings of
the launcher and the sweeper may change:
  aiexp resume outputs/mnist_cnn/2026-01-31_12-00-00_sweep_1a2b3c \\
      hydra.launcher.n_jobs=1
"""
FLAGS = Flags("resume", TRUST)


def main(argv: list[str]) -> int:
    """Resumes a run; returns its exit code."""
    if not argv:
        return lacks_words("resume")
    words, _ = FLAGS.parse(argv)
    word, overrides = one_path(words, "aiexp resume")
    path = str(named(word))
    if os.path.isfile(os.path.join(path, DEFINITION)):
        from aiexp.sweep.sweep import resume_sweep

        return resume_sweep(Path(path), overrides)
    from aiexp.rundir.code.own_code import own_code_of

    directory = RunDirectory.open(Path(path))
    with own_code_of(directory.path):
        return _resume_run(directory, path, overrides)


def _resume_run(directory: RunDirectory, path: str, overrides: list[str]) -> int:
    """Resumes a run; its config may name only code that it recorded as the user's own.

    Args:
        directory: The run's.
        path: As typed.
        overrides: What may change.
    """
    from aiexp.config.objects.build import build
    from aiexp.run import train
    from aiexp.session.joined import join
    from aiexp.session.launcher import launch
    from aiexp.session.stop import StopSignal

    old = validate(directory.read_config(), source=str(directory.path / CONFIG))
    config = assigned(old, overrides, "aiexp resume")
    state = State(directory.read(STATUS).get("state") or State.STARTING)
    if "task" not in directory.read_typed()[0]:
        raise CheckpointError(f"{TYPED} names no task", where=str(directory.path / TYPED))
    before, after = flatten(old), flatten(config)
    check_changes(old, redact(config))
    validate(config, source="aiexp resume")
    if state in ENDED and all(before.get(key) == after.get(key) for key in LONGER):
        more = longer(after, directory.read(STATUS), path)
        out(f"{ENDED[state]}: {path}; more: {more}")
        return 0
    refuse_masked(config, str(directory.path / CONFIG), f"aiexp resume {path}")
    if is_torchrun():
        join(config, lambda: directory, train, overrides)
    hardware = build(config["hardware"])
    with StopSignal() as stop:
        if hardware.devices > 1:
            return launch(directory, config, hardware, stop, overrides)
        return train(directory, config, hardware, stop, overrides)


def longer(config: Mapping[str, Any], status: Mapping[str, Any], path: str) -> str:
    """The command that makes a run that has ended go on.

    Args:
        config: Of the run, flat.
        status: What it has written of itself.
        path: As typed.
    """
    key = "trainer.epochs" if config.get("trainer.steps") is None else "trainer.steps"
    command = f"aiexp resume {path} {key}=N, N > {config.get(key)}"
    step, total = status.get("step"), status.get("total_steps")
    is_short = isinstance(step, int) and isinstance(total, int) and step < total  # a file may be damaged
    if status.get("state") == State.FINISHED and is_short:
        command = f"aiexp resume {path} trainer.selection.patience=null (early stopping has ended it)"
    return command
