"""A rank's rows of a tensor that is divided among ranks."""

import sys
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from aiexp.errors import CheckpointError
from aiexp.world.world import World


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Rows of a tensor whose other rows are elsewhere.

    Args:
        rows: (N, ...), perhaps none.
        start: Number of the first.
        num_rows: Rows of the whole.
    """

    rows: Tensor
    start: int
    num_rows: int


def is_sharded(value: Any) -> bool:
    """Whether a value is a tensor that is divided among ranks."""
    module: Any = sys.modules.get("torch.distributed.tensor")  # whoever shards has imported it
    return module is not None and isinstance(value, module.DTensor)


def saved_form(tensor: Tensor) -> Tensor | Part:
    """What this rank has of a tensor: its rows of one that is sharded, else the tensor itself."""
    if not is_sharded(tensor):
        return tensor.detach()
    sharded: Any = tensor
    if sharded.device_mesh.ndim != 1 or not sharded.placements[0].is_shard(0):
        raise CheckpointError(f"a tensor is sharded as {sharded.placements}: no checkpoint can hold it")
    mesh, num_rows = sharded.device_mesh, sharded.shape[0]
    rows = own_rows(num_rows, mesh.get_local_rank(), mesh.size())
    return Part(rows=sharded.to_local().detach(), start=rows.start, num_rows=num_rows)


def own_rows(num_rows: int, rank: int, size: int) -> range:
    """The rows that a rank has of a tensor sharded by rows: as many each, the last ones fewer or none."""
    each = -(-num_rows // size)
    return range(min(rank * each, num_rows), min((rank + 1) * each, num_rows))


def wanted_rows(num_rows: int, world: World) -> range:
    """The rows that a rank needs of a tensor that was saved sharded: all where nothing is sharded now."""
    return own_rows(num_rows, world.rank, world.size) if world.is_sharded else range(num_rows)
