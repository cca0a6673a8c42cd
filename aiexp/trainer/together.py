"""What a step of several ranks needs beside that of one: common gradients and metrics, weights alike."""

import hashlib
from typing import Any

import torch
from torch import nn

from aiexp.checkpoint.digest import digests
from aiexp.checkpoint.part import is_sharded
from aiexp.errors import ConfigError, HardwareError
from aiexp.task.base import Last, Sum, Task
from aiexp.task.contract import broken
from aiexp.world.sharded import Sharded
from aiexp.world.synced import Synced
from aiexp.world.world import World

Window = dict[str, list[float]]  # metrics since the last line: their totals, and what these are divided by


def synced(parameters: dict[str, list[nn.Parameter]], task: Task) -> dict[str, Synced | Sharded]:
    """What averages the gradients of each optimizer; one without parameters has none.

    Raises:
        ConfigError: two optimizers share a parameter, or there are two where weights are sharded.
    """
    if task.world.is_sharded:
        if len(parameters) > 1:
            what = f"has {len(parameters)} optimizers: of sharded weights there can be one"
            raise broken(task, "make_optimizers", what, fix="hardware.parallel=ddp")
        return {name: Sharded(task) for name in parameters}
    owners: dict[int, str] = {}
    for name, group in parameters.items():
        for parameter in group:
            owner = owners.setdefault(id(parameter), name)
            if owner != name:
                raise ConfigError(
                    f"optimizers '{owner}' and '{name}' share a parameter, which ranks cannot average",
                    fix="hardware.devices=1",
                )  # fmt: skip
    return {name: Synced(group) for name, group in parameters.items() if group}


def merged(windows: list[Window], kinds: dict[str, type]) -> Window:
    """The metrics of all ranks: means over all examples, sums added up, states as the first rank has them.

    Args:
        windows: Of each rank.
        kinds: Which metrics are no means.
    """
    window: Window = {}
    for name in {name: None for each in windows for name in each}:
        entries = [each[name] for each in windows if name in each]
        totals, counts = zip(*entries, strict=True)
        if kinds.get(name) is Last:
            window[name] = entries[0]
        else:
            window[name] = [sum(totals), 1 if kinds.get(name) is Sum else sum(counts)]
    return window


def check_alike(
    world: World, parameters: list[nn.Parameter], optimizers: dict[str, torch.optim.Optimizer], number: int
) -> None:
    """Sees to it that all ranks have the same weights: from then on they would train apart unnoticed.

    Of sharded weights nobody else has the same rows; what the optimizers count and are set to is alike.

    Raises:
        HardwareError: they differ.
    """
    what: str = "optimizers" if world.is_sharded else "weights"
    held: Any = {name: _common(o) for name, o in optimizers.items()} if world.is_sharded else parameters
    odd = world.odd_rank(hashlib.sha256(repr(digests(held)).encode()).hexdigest())
    if odd is not None:
        raise HardwareError(
            f"the {what} of rank {odd} are not those of rank 0 at step {number}; no checkpoint was written",
            fix="resume from the checkpoint before; a task must not change weights by what one rank has",
        )


def _common(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimizer without what is sharded."""
    state = optimizer.state_dict()
    counts = {
        number: {name: value for name, value in moments.items() if not is_sharded(value)}
        for number, moments in state["state"].items()
    }
    return {"settings": state["param_groups"], "counts": counts}
