"""A run that goes on from a checkpoint of another one with other settings, in a directory of its own.

It begins as a copy: the checkpoint with the whole state, the metrics until there, and its config changed.
Which settings of optimizers are new is found by building the task twice, by the old config and the new one:
only what differs is written over the saved settings, which may have changed on the way. What the optimizers
remember must be the same by both: after a step of each their states have the same names and shapes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiexp.checkpoint.manifest import verify, verify_state
from aiexp.config.folders import shown
from aiexp.errors import ConfigError
from aiexp.rundir.changes import changed_keys, check_branch, is_below
from aiexp.rundir.code.own_code import record_targets
from aiexp.rundir.directory import RunDirectory, slug
from aiexp.rundir.environment import describe_environment
from aiexp.rundir.file import ENVIRONMENT, METRICS, STATUS
from aiexp.rundir.metrics import intact_part
from aiexp.rundir.weights import checkpoint_path, checkpoint_steps, origin
from aiexp.storage.files import storage_errors, write_bytes
from aiexp.text.secrets import redact, redact_text
from aiexp.text.terminal import say

Settings = dict[tuple[str, int, str], Any]  # optimizer, number of the group, name of the setting
Memory = dict[tuple[str, int, str], tuple[int, ...]]  # optimizer, number of the parameter, name: shape
NEW_RUN = "start a new run with the weights that fit: aiexp run ... start_from=RUN start_from.strict=false"


def branch(
    parent: RunDirectory, step: int | None, old: dict[str, Any], new: dict[str, Any], typed: list[str]
) -> RunDirectory:
    """The directory of a new run, ready to be trained as one that is resumed; the parent is left as it is.

    Args:
        parent: The run to go on from.
        step: Of its checkpoint; None is the newest.
        old: Its config.
        new: The same with changes.
        typed: The changes.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        ConfigError: a key has changed that cannot, or the networks have.
    """
    changes = check_branch(old, redact(new))
    steps = checkpoint_steps(parent, step)
    step = steps[-1] if step is None else step
    verify(checkpoint_path(parent, step))
    state = verify_state(checkpoint_path(parent, step))
    session, best = state["session"], (state["selection"]["best"] or [step])[0]
    kept = intact_part(parent.path / METRICS, session["metrics_bytes"], session["metrics_sha256"])
    is_other_task = any(is_below(key, ("task", "model")) for key in changed_keys(old, new))
    settings = changed_settings(parent, old, new) if is_other_task else {}
    choices, overrides = parent.read_typed()
    child = RunDirectory.create(
        Path(new["outputs"]).expanduser() / choices["task"], slug([f"step={step}", *map(redact_text, typed)])
    )
    with child.starting():
        record(parent, child, step, changes)
        for number in {step, best} & set(steps):
            copy_to(parent, child, number, redact(new), settings)
        with storage_errors("copying the metrics", child.path):
            write_bytes(child.path / METRICS, kept)
        better = parent.read_json(STATUS).get("better") or {}
        child.write_status(step=step, best_step=best if best in steps else None, better=better)
        record_targets(child.path, new)
        child.write_config(redact(new), choices, [*overrides, *map(redact_text, typed)])
    child.point_latest(Path(new["outputs"]).expanduser())
    what = ", ".join(changes) or "nothing changed, so this repeats it"
    say(f"branch    of {shown(parent.path)} at step {step}: {what}")
    return child


def record(parent: RunDirectory, child: RunDirectory, step: int, changes: list[str]) -> None:
    """Writes down where the child comes from, and which data it goes on with."""
    before = parent.read_json(ENVIRONMENT)
    history: list[str] = (before.get("parent") or {}).get("history") or []
    line = f"step {step}: {', '.join(changes) or 'nothing changed'}"
    child.write_environment(
        **describe_environment(),
        dataset=before.get("dataset"),
        parent=origin(parent, step) | {"history": [*history, line]},
    )


def copy_to(
    parent: RunDirectory, child: RunDirectory, step: int, config: dict[str, Any], settings: Settings
) -> None:
    """Copies a checkpoint, with the child's config and settings of optimizers in it."""
    from aiexp.checkpoint.copying import copy_checkpoint
    from aiexp.checkpoint.state import split

    def edit(state: dict[str, Any]) -> None:
        state["session"]["config"] = split(config)[0]
        for (name, number, key), value in settings.items():
            state["stepper"]["optimizers"][name]["param_groups"][number][key] = split(value)[0]

    copy_checkpoint(checkpoint_path(parent, step), checkpoint_path(child, step), edit)


def changed_settings(parent: RunDirectory, old: dict[str, Any], new: dict[str, Any]) -> Settings:
    """What the optimizers of the new config have set otherwise than those of the old one.

    Raises:
        ConfigError: the networks or the optimizers are others, so that what was saved does not fit.
    """
    from aiexp.checkpoint.state import load_random_state, random_state
    from aiexp.runs.loaded import made_hardware, made_task
    from aiexp.trainer.schedule import set_initial_rates

    made_hardware(new, {})
    random = random_state()
    try:
        before, after = (made_task(parent, config, say) for config in (old, new))
    finally:
        load_random_state(random)
    shapes = [{n: tuple(v.shape) for n, v in task.state_dict().items()} for task in (before, after)]
    if odd := [n for n in {**shapes[0], **shapes[1]} if shapes[0].get(n) != shapes[1].get(n)]:
        sizes = " -> ".join(str(known.get(odd[0], "nothing")) for known in shapes)
        raise ConfigError(f"this changes the networks: {odd[0]}: {sizes}", where="aiexp branch", fix=NEW_RUN)
    optimizers = [task.make_optimizers() for task in (before, after)]
    for made in optimizers:
        set_initial_rates(made)
    kinds = [{name: (type(o), *(len(g["params"]) for g in o.param_groups)) for name, o in made.items()}
             for made in optimizers]  # fmt: skip
    if kinds[0] != kinds[1]:
        raise ConfigError(
            "this changes the optimizers, not only their settings", where="aiexp branch", fix=NEW_RUN
        )
    settings = dict(differences(*optimizers))
    check_memory(*map(memory, optimizers))
    return settings


def memory(optimizers: dict[str, Any]) -> Memory:
    """What optimizers remember of each parameter after a step, with shapes.

    The step is really taken, by weights that nobody needs any more: nobody else knows what it remembers.
    """
    import torch

    from aiexp.trainer.stepper import trainable

    found: Memory = {}
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group |= {"capturable": False} if "capturable" in group else {}  # that is for GPUs
        parameters = trainable(optimizer)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        for number, parameter in enumerate(parameters):
            for key, value in optimizer.state[parameter].items():
                if value is not None:
                    found[name, number, key] = tuple(getattr(value, "shape", ()))
        optimizer.state.clear()
    return found


def check_memory(before: Memory, after: Memory) -> None:
    """Raises `ConfigError` where a setting needs what no checkpoint holds, or leaves what it holds unused."""
    odd = next((k for k in {**before, **after} if before.get(k) != after.get(k)), None)
    if odd is None:
        return
    key = odd[-1]
    what = "for which the checkpoint has another shape"
    if odd not in before:
        what = "which the checkpoint does not hold"
    elif odd not in after:
        what = "which the checkpoint holds, and nobody would use"
    raise ConfigError(
        f"this changes what the optimizer '{odd[0]}' remembers: {key}, {what}",
        where="aiexp branch",
        fix=NEW_RUN,
    )


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[tuple[str, int, str], Any]]:
    """Each setting of `after` that is another one in `before`."""
    for name, optimizer in after.items():
        for number, group in enumerate(optimizer.param_groups):
            known = before[name].param_groups[number]
            for key, value in group.items():
                if key != "params" and (key not in known or known[key] != value):
                    yield (name, number, key), value
