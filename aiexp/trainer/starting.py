"""What a new run starts from: weights of earlier runs, by `start_from` of its config."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from aiexp.config.folders import shown
from aiexp.config.start import KEY, STRICT, is_strict, starts, typed
from aiexp.errors import ConfigError, nearest
from aiexp.model.peft.merging import is_added, merged_weights
from aiexp.rundir.weights import Learned, learned, open_start
from aiexp.task.base import Task

MOST_NAMED = 5


def start(task: Task, config: Mapping[str, Any], say: Callable[[str], object]) -> list[dict[str, Any]]:
    """Gives a task the weights of the runs that a config starts from; nothing random is drawn.

    Args:
        task: Built, on the CPU, its weights whole.
        config: Of the new run.
        say: Hears what was taken and what was not.

    Returns:
        What is to be recorded of each.

    Raises:
        CheckpointError: a run is gone or has no intact checkpoint.
        ConfigError: its weights are of another network.
    """
    records: list[dict[str, Any]] = []
    for network, path in starts(config).items():
        run = learned(open_start(network, path), say=say)
        taken, odd = fitting(task, run, network, typed(network, path))
        if odd and is_strict(config):
            raise misfit(odd, len(taken), network, typed(network, path), run, task)
        if not taken:
            raise ConfigError(
                f"none of the run's weights fits: {first(odd)}", where=typed(network, path),
                fix="name a run of this model",
            )  # fmt: skip
        task.load_state_dict(taken, strict=False)
        left = f"; not taken: {first(odd)}" if odd else ""
        say(f"start     {len(taken)} weights of {shown(run.directory.path)}, step {run.step}{left}")
        records.append(run.record() | {"network": network or None, "taken": len(taken), "left": list(odd)})
    return records


def fitting(task: Task, run: Learned, network: str, where: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of a run that fit, by name; and why each of the others does not, on either side.

    Adapters that the task has not are computed into the weights; those that the run has not begin anew.

    Raises:
        ConfigError: the task or the run has no such network.
    """
    prefix = f"{network}." if network else ""
    here = {name: value for name, value in task.state_dict().items() if name.startswith(prefix)}
    weights = merged_weights(run.weights, keep=here)
    there = {name: value for name, value in weights.items() if name.startswith(prefix)}
    for owner, held, every in (("task", here, task.state_dict()), ("run", there, run.weights)):
        if not held:
            names = networks(every)
            raise ConfigError(
                f"the {owner} has no network '{network}'.{nearest(network, names)}", where=where,
                fix=f"its networks are {', '.join(names)}",
            )  # fmt: skip
    taken = {n: value for n, value in there.items() if n in here and here[n].shape == value.shape}
    odd = {
        name: f"{tuple(there[name].shape)} there, {tuple(here[name].shape)} here"
        if name in there and name in here else "not there" if name in here else "not here"
        for name in {**here, **there}
        if name not in taken and (name in there or not is_added(name))
    }  # fmt: skip
    return taken, odd


def networks(weights: Mapping[str, Any]) -> list[str]:
    """The names of the networks that weights are of."""
    return list(dict.fromkeys(name.partition(".")[0] for name in weights))


def first(odd: Mapping[str, str]) -> str:
    """The first few weights that do not fit, and why."""
    named = [f"{name} ({why})" for name, why in list(odd.items())[:MOST_NAMED]]
    return ", ".join(named) + (
        f" and {len(odd) - MOST_NAMED} more" if odd.keys() and len(odd) > MOST_NAMED else ""
    )


def misfit(
    odd: dict[str, str], taken: int, network: str, where: str, run: Learned, task: Task
) -> ConfigError:
    """The error for weights of which some do not fit."""
    whole = [n for n in networks(task.state_dict()) if n not in networks(odd) and n in networks(run.weights)]
    ways = [] if network or not whole else [f"{typed(whole[0], run.directory.path)} for that network alone"]
    ways += [f"{KEY}.{STRICT}=false to take what fits"] if taken else ["name a run of this model"]
    return ConfigError(f"{len(odd)} weights do not fit: {first(odd)}", where=where, fix=", or ".join(ways))
