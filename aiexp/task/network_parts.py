"""How a network is divided: into groups for optimizers, and into stages for sharding."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from aiexp.errors import ConfigError


def grouped(
    parameters: Iterable[nn.Parameter],
    matrices: Mapping[str, Any] | None = None,
    vectors: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimizer of what learns: matrices and filters decay, vectors (biases, norms) do not.

    Args:
        parameters: In the order in which each group has them.
        matrices: Further settings of the group of matrices, such as `lr_scale`.
        vectors: Likewise of the vectors.
    """
    members = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in members if p.ndim >= 2], **(matrices or {})},
        {"params": [p for p in members if p.ndim < 2], **(vectors or {}), "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def scaled_groups(parts: Sequence[tuple[Iterable[nn.Parameter], float]]) -> list[dict[str, Any]]:
    """Groups of parts that learn at different rates, the fastest first, each rate as `lr_scale`.

    Args:
        parts: Parameters, and their factor on the learning rate of the optimizer.
    """
    groups: list[dict[str, Any]] = []
    for scale in sorted({scale for _, scale in parts}, reverse=True):
        members = [p for parameters, own in parts if own == scale for p in parameters]
        groups += grouped(members, {"lr_scale": scale}, {"lr_scale": scale})
    return groups


def freeze_layers(groups: Sequence[Sequence[nn.Parameter]], count: int) -> None:
    """Lets the first groups of layers as they are.

    Args:
        groups: Parameters, from the embeddings up.
        count: How many of the groups.

    Raises:
        ConfigError: there are not so many.
    """
    if count > len(groups):
        raise ConfigError(
            f"frozen_layers is {count}, and the model has {len(groups)} groups of layers",
            where="frozen_layers", fix=f"at most frozen_layers={len(groups)}",
        )  # fmt: skip
    for group in groups[:count]:
        for parameter in group:
            parameter.requires_grad_(False)


def layer_holders(model: Any) -> list[nn.Module]:
    """The modules of a network that hold a group of its `layer_groups` each, outer ones first."""
    holders: dict[frozenset[int], nn.Module] = {}
    # A list of one layer holds what that layer does, and cannot be called.
    for module in (part for part in model.modules() if type(part).forward is not nn.Module.forward):
        holders.setdefault(frozenset(map(id, module.parameters())), module)
    groups = [frozenset(map(id, group)) for group in model.layer_groups() if group]
    return [holders[group] for group in groups if group in holders]


def stages(module: nn.Module) -> list[nn.Module]:
    """The modules with parameters that a network is made of, one level down; plain sequences are opened."""
    found: list[nn.Module] = []
    for child in module.children():
        if type(child) is nn.Sequential:
            found += stages(child)
        elif next(child.parameters(), None) is not None:
            found.append(child)
    return stages(found[0]) or found if len(found) == 1 else found
