"""Weights of which each rank holds its rows, as of their gradients and moments: torch's `fully_shard`."""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from aiexp.world.world import World


def shard(
    root: nn.Module, blocks: list[nn.Module], world: World, device_type: str, dtype: torch.dtype
) -> None:
    """Divides all parameters of a module among the ranks, by rows; moves them to the device.

    A block's weights are whole only while it runs: it is called as `block(...)`, as often on every rank.

    Args:
        root: Alike on every rank.
        blocks: Modules below it, inner ones first; what is in none goes together.
        world: More than one rank; knows from then on that it is sharded.
        device_type: "cpu" or "cuda".
        dtype: In which weights are gathered, except beside batch norm; they are kept, and their gradients
            averaged, in float32.

    Raises:
        ValueError: a parameter has no rows, or another thing that torch does not shard.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    for parameter in root.parameters():
        parameter.data = parameter.data.contiguous()  # filters, too: rows of them
    mesh = init_device_mesh(device_type, (world.size,))
    for module in (*blocks, root):
        # Batch norm has statistics in float32, and on a CPU takes no weights of another type beside them.
        plain = dtype == torch.float32 or any(isinstance(m, _BatchNorm) for m in module.modules())
        policy = MixedPrecisionPolicy(
            param_dtype=None if plain else dtype, reduce_dtype=torch.float32,
            cast_forward_inputs=False,  # that is for autocast
        )  # fmt: skip
        # Also of the root: else it would stay whole from an evaluation to the next step.
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    world.is_sharded = True


@final
class Sharded:
    """Has gradients averaged, as `Synced` does, where backward itself gives each rank its rows of them.

    Args:
        root: Sharded.
    """

    def __init__(self, root: nn.Module) -> None:
        self._root: Any = root

    def __call__(self, loss: Tensor, *, is_last: bool) -> Tensor:
        """The loss; its backward ends with averaged gradients if it is the last micro-batch of an update."""
        self._root.set_requires_gradient_sync(is_last)
        return loss
