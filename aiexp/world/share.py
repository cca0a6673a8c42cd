"""A rank's rows of a training batch.

The data set makes the whole batch on every rank, and rows are taken from it here: a batch stays a function of
its number, whatever it holds and whoever made it. (Reading only a rank's own rows would save time where
reading is slow; a data set can do so later without anything else changing.)
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from aiexp.errors import ConfigError
from aiexp.world.world import World


def share_out(batch: Any, world: World) -> tuple[Any, float]:
    """This rank's every `size`-th row of a batch, and their share of all rows.

    Of fewer rows than ranks everyone has all: nobody's loss is a mean over nothing, and the mean over ranks
    is right. In a batch of several batches each is shared out by itself, and the share is the first one's.

    Raises:
        ConfigError: the batch is not made of rows.
    """
    if world.size == 1:
        return batch, 1
    shares: list[float] = []
    part = _part(batch, world, shares)
    if not shares:
        raise _not_rows(f"a {type(batch).__name__} without tensors")
    return part, shares[0]


def own_part(batch: Any, world: World) -> tuple[Any, float]:
    """A batch that is this rank's alone already, as large as everyone's, and its share of all rows."""
    return batch, 1 if world.size == 1 else 1 / world.size


def _part(value: Any, world: World, shares: list[float]) -> Any:
    """The same of anything in a batch; shares are noted where there are rows."""
    if isinstance(value, Tensor):
        return _rows(value, _count([value]), world, shares)
    if isinstance(value, Mapping):
        items = dict(cast(Mapping[Any, Any], value))
        parts = _parts(list(items.values()), world, shares)
        return refilled(value, dict(zip(items, parts, strict=True)))
    if not isinstance(value, type) and callable(getattr(value, "to", None)):
        raise _not_rows(f"a {type(value).__name__}")  # such as packed sequences
    if isinstance(value, tuple | list):
        items = _parts(list(cast(list[Any], value)), world, shares)
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        parts = _parts([getattr(value, name) for name in names], world, shares)
        changed = copy.copy(value)
        for name, part in zip(names, parts, strict=True):
            object.__setattr__(changed, name, part)
        return changed
    return value


def _parts(values: list[Any], world: World, shares: list[float]) -> list[Any]:
    """Parts of what lies side by side: tensors there have a row for each example."""
    count = _count([v for v in values if isinstance(v, Tensor)])
    return [
        _rows(v, count, world, shares) if isinstance(v, Tensor) else _part(v, world, shares) for v in values
    ]


def _count(tensors: list[Tensor]) -> int:
    """Rows that tensors have, without those that are one number."""
    counts = {len(tensor) for tensor in tensors if tensor.dim()}
    if len(counts) > 1:
        raise _not_rows(f"tensors of {' and '.join(map(str, sorted(counts)))} rows")
    return counts.pop() if counts else 0


def _rows(tensor: Tensor, count: int, world: World, shares: list[float]) -> Tensor:
    """This rank's rows of a tensor; what is one number belongs to everyone."""
    if not tensor.dim():
        return tensor
    if count < world.size:
        shares.append(1 / world.size)
        return tensor
    shares.append(len(range(world.rank, count, world.size)) / count)
    # Texts sorted by length stay balanced; a copy, so that the whole batch can go.
    return tensor[world.rank :: world.size].clone()


def refilled(mapping: Any, items: dict[Any, Any]) -> Any:
    """A copy of a mapping with other values; a dict where it cannot be written to."""
    if not hasattr(mapping, "__setitem__"):
        return items
    changed = copy.copy(mapping)
    for key, item in items.items():
        changed[key] = item
    return changed


def _not_rows(what: str) -> ConfigError:
    return ConfigError(
        f"ranks cannot share out a batch of {what}",
        fix="a batch of tensors with one row for each example, or hardware.devices=1",
    )  # fmt: skip
