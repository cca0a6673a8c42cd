"""The memory that one of many ranks takes, told by one process: torch's fake process group plays ranks."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from aiexp.checkpoint.part import Part, saved_form
from aiexp.runs.rehearsal import Rehearsal
from aiexp.task.contract import training_batches
from aiexp.world.sharded import shard
from aiexp.world.share import share_out
from aiexp.world.world import World


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RankMemory:
    """Bytes on the device of the rank that has most.

    Args:
        weights: Held all the time.
        gradients: Of them.
        moments: What the optimizer keeps for each.
        gathered: What is whole for a moment: of the largest block, weights twice (of the next one they are
            gathered meanwhile) and gradients.
        activations: What a step keeps of its share of a batch for the way back.
    """

    weights: int
    gradients: int
    moments: int
    gathered: int
    activations: int

    @property
    def total(self) -> int:
        """Of all; what libraries take for themselves comes on top."""
        return self.weights + self.gradients + self.moments + self.gathered + self.activations

    def describe(self) -> str:
        """One line for the user."""
        parts = ("weights", "gradients", "moments", "gathered", "activations")
        listed = [f"{name} {size}" for name in parts if (size := _mebibytes(getattr(self, name))) != "0"]
        return f"{_mebibytes(self.total)} MiB: {', '.join(listed)}"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.0f}" if size >= 10 * 2**20 else f"{size / 2**20:.2g}"


def sharded_memory(rehearsal: Rehearsal, num_ranks: int) -> RankMemory:
    """What the first of some ranks would take, which has the most rows.

    Args:
        rehearsal: Some steps on, so that there are moments; afterwards its task is sharded, for no use.
        num_ranks: At least 2.

    Raises:
        ConfigError: the task cannot be sharded.
    """
    import torch.distributed as dist

    task, hardware = rehearsal.task, rehearsal.experiment.hardware
    blocks = task.shards()
    activations = activation_bytes(rehearsal, World(0, num_ranks))
    own_moments = moment_bytes(rehearsal)
    per_number = {n: own_moments.get(id(p), 0) / max(p.numel(), 1) for n, p in task.named_parameters()}
    size = 2 if hardware.precision == "bf16" else 4
    in_blocks = {id(p) for block in blocks for p in block.parameters()}
    groups = [list(block.parameters()) for block in blocks]
    groups.append([p for p in task.parameters() if id(p) not in in_blocks])
    gathered = max(sum(p.numel() * size * (3 if p.requires_grad else 2) for p in group) for group in groups)
    dist.init_process_group("fake", rank=0, world_size=num_ranks)
    try:
        shard(task, blocks, World(0, num_ranks), hardware.device_type, torch.float32)
        held = {name: _rows(p) for name, p in task.named_parameters()}
    finally:
        dist.destroy_process_group()
    learning = {name for name, p in task.named_parameters() if p.requires_grad}
    return RankMemory(
        weights=sum(rows.nbytes for rows in held.values()),
        gradients=sum(rows.nbytes for name, rows in held.items() if name in learning),
        moments=round(sum(rows.numel() * per_number[name] for name, rows in held.items())),
        gathered=gathered,
        activations=activations,
    )


def _rows(parameter: Tensor) -> Tensor:
    form = saved_form(parameter)
    return form.rows if isinstance(form, Part) else form


def moment_bytes(rehearsal: Rehearsal) -> dict[int, int]:
    """What the optimizers keep for each parameter, by its identity: counts aside, which are small."""
    return {
        id(parameter): sum(m.nbytes for m in moments.values() if isinstance(m, Tensor) and m.dim())
        for optimizer in rehearsal.stepper.optimizers.values()
        for parameter, moments in optimizer.state.items()
    }


def activation_bytes(rehearsal: Rehearsal, world: World) -> int:
    """What autograd keeps of the first update of a step on a rank's share of a batch."""
    task, dataset = rehearsal.task, rehearsal.experiment.dataset
    batch, _ = share_out(next(training_batches(task, dataset, 0)), world)
    weights = {p.untyped_storage().data_ptr() for p in task.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    def unpack(tensor: Tensor) -> Any:
        return tensor

    task.train()
    with saved_tensors_hooks(pack, unpack), rehearsal.experiment.hardware.autocast():
        next(task.train_step(task.to_device(task.drawn(batch))))
    return sum(kept.values())
