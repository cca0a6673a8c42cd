"""What a step of several ranks needs beside that of one: common gradients and metrics, weights alike."""

import hashlib

from torch import nn

from aiexp.checkpoint.digest import digests
from aiexp.errors import ConfigError, HardwareError
from aiexp.task.base import Last, Sum
from aiexp.world.synced import Synced
from aiexp.world.world import World

Window = dict[str, list[float]]  # metrics since the last line: their totals, and what these are divided by


def synced(parameters: dict[str, list[nn.Parameter]]) -> dict[str, Synced]:
    """What averages the gradients of each optimizer; one without parameters has none.

    Raises:
        ConfigError: two optimizers share a parameter.
    """
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


def check_alike(world: World, parameters: list[nn.Parameter], number: int) -> None:
    """Sees to it that all ranks have the same weights: from then on they would train apart unnoticed.

    Raises:
        HardwareError: the weights differ.
    """
    odd = world.odd_rank(hashlib.sha256(repr(digests(parameters)).encode()).hexdigest())
    if odd is not None:
        raise HardwareError(
            f"the weights of rank {odd} are not those of rank 0 at step {number}; no checkpoint was written",
            fix="resume from the checkpoint before; a task must not change weights by what one rank has",
        )
