"""`aiexp resume RUN|SWEEP [KEY=VALUE ...]`: continue a run, or a sweep, exactly where it stopped."""

import copy
import os
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf._utils import get_yaml_loader

from aiexp.command.flags import TRUST, Flags
from aiexp.command.help import page
from aiexp.config.validate import validate
from aiexp.errors import CheckpointError, ConfigError, nearest, reason_of
from aiexp.rundir.changes import check_changes, flatten
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, STATUS, TYPED
from aiexp.rundir.state import State
from aiexp.sweep.definition import DEFINITION
from aiexp.text.secrets import MASK, redact
from aiexp.text.terminal import out, out_lines
from aiexp.world.torchrun import is_torchrun

ENDED = {
    State.FINISHED: "already complete",
    State.PRUNED: "pruned by its search, which saw better runs (trainer.epochs=N or trainer.steps=N goes on)",
}
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
        out_lines(page("resume"))
        return 2
    words, _ = FLAGS.parse(argv)
    paths = [word for word in words if is_path(word)]
    overrides = [word for word in words if word not in paths]
    if len(paths) != 1:
        raise ConfigError(
            f"aiexp resume takes one run or sweep, not {len(paths)}", fix="aiexp resume outputs/latest"
        )
    path = paths[0]
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
    config = apply_overrides(old, overrides)
    state = State(directory.read(STATUS).get("state") or State.STARTING)
    if "task" not in directory.read_typed()[0]:
        raise CheckpointError(f"{TYPED} names no task", where=str(directory.path / TYPED))
    before, after = flatten(old), flatten(config)
    check_changes(old, redact(config))
    if state in ENDED and all(before.get(key) == after.get(key) for key in LONGER):
        out(f"{ENDED[state]}: {path}")
        return 0
    masked = [key for key, value in after.items() if isinstance(value, str) and MASK in value]
    if masked:
        raise ConfigError(
            f"'{masked[0]}' was masked as a secret when the run was recorded",
            where=str(directory.path / CONFIG),
            fix=f"give it again: aiexp resume {path} {masked[0]}=VALUE",
        )
    validate(config, source="aiexp resume")
    if is_torchrun():
        join(config, lambda: directory, train, overrides)
    hardware = build(config["hardware"])
    with StopSignal() as stop:
        if hardware.devices > 1:
            return launch(directory, config, hardware, stop, overrides)
        return train(directory, config, hardware, stop, overrides)


def is_path(word: str) -> bool:
    """Whether a word names a run and is no KEY=VALUE: names of run directories hold `=` too."""
    key, equals, _ = word.partition("=")
    return not equals or os.sep in key or os.path.isdir(word)


def _read_value(text: str) -> Any:
    """What the text of a value stands for, read as a config file is (so that 1e-4 is a number).

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=get_yaml_loader())  # noqa: S506  a safe loader with YAML 1.2 numbers
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"'{text[:100]}' cannot be read: {reason_of(error)}", where="aiexp resume"
        ) from error


def apply_overrides(config: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """`config` with `key=value` assignments made; only keys that exist can be assigned.

    Raises:
        ConfigError: not an assignment, or no such key.
    """
    config = copy.deepcopy(config)
    known = flatten(config)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"'{override}' is not KEY=VALUE", where="aiexp resume")
        if key not in known:
            raise ConfigError(f"unknown key '{key}'.{nearest(key, known)}", where="aiexp resume")
        assign(config, key, _read_value(value))
    return config


def assign(node: dict[Any, Any], key: str, value: Any) -> bool:
    """Gives a dotted key, as `flatten` names it, another value; false if it is not there.

    YAML has keys that are numbers or hold dots, so the key cannot simply be taken apart.
    """
    for name, inner in node.items():
        if str(name) == key:
            node[name] = value
            return True
        rest = key.removeprefix(f"{name}.")
        if rest != key and isinstance(inner, dict) and assign(cast(dict[Any, Any], inner), rest, value):
            return True
    return False
