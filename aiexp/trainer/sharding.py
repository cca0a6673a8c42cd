"""A task on its device, its weights sharded where `hardware.parallel` says so; and loading such weights."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from aiexp.checkpoint.digest import digests
from aiexp.checkpoint.part import Part, is_sharded, saved_form
from aiexp.errors import HardwareError
from aiexp.hardware.hardware import Hardware
from aiexp.task.base import Task
from aiexp.task.contract import broken
from aiexp.world.sharded import shard

DDP = "hardware.parallel=ddp"


def prepare(task: Task, hardware: Hardware) -> None:
    """Puts a task on its device, before its optimizers are made.

    Raises:
        ConfigError: its weights cannot be sharded.
        HardwareError: ranks have begun with different weights.
    """
    world = hardware.world
    if world.size == 1 or hardware.parallel != "fsdp":
        hardware.prepare(task)
        return
    blocks, known = task.shards(), set(task.modules())
    if odd := [block for block in blocks if block not in known]:
        raise broken(task, "shards", f"has a {type(odd[0]).__name__} that is none of its modules", fix=DDP)
    held = {id(p) for block in blocks for p in block.parameters()}
    left = [name for name, p in task.named_parameters() if id(p) not in held]
    if left and type(task).forward is nn.Module.forward:
        what = f"leaves out {left[0]}, which a `forward` of the task has to be around"
        raise broken(task, "shards", what, fix="name its module, or compute in `forward`")
    alike = digests([p.detach() for p in task.parameters()])
    rank = world.odd_rank(hashlib.sha256(repr(alike).encode()).hexdigest())
    if rank is not None:  # each rank would keep its rows of other weights
        raise HardwareError(f"rank {rank} has begun with other weights than rank 0", fix=DDP)
    dtype = torch.bfloat16 if hardware.precision == "bf16" else torch.float32
    try:
        shard(task, blocks, world, hardware.device_type, dtype)
    except (ValueError, NotImplementedError) as error:
        raise broken(task, "shards", f"cannot be followed: {error}", fix=DDP) from error
    task.to(hardware.device)


def clipped(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Scales gradients down to a largest L2 norm of all together, of all ranks; their norm before, ()."""
    norm: Any = nn.utils.clip_grad_norm_(parameters, largest)
    return norm.full_tensor() if is_sharded(norm) else norm


def load_weights(task: Task, model: dict[str, Any]) -> None:
    """Loads what a checkpoint holds of the weights, on each rank its rows where they are sharded.

    Raises:
        ValueError, RuntimeError: they are those of another model.
    """
    if task.world.is_sharded:
        own = task.state_dict()
        model = {n: fitted(t, own[n]) if n in own else t for n, t in model.items()}
    task.load_state_dict(model)


def fitted_moments(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """The saved state of an optimizer, of moments of sharded parameters this rank's rows."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[Any, Any] = dict(saved["state"])
    for number, moments in state.items():
        if isinstance(number, int) and number < len(parameters):
            state[number] = {name: _moment(value, parameters[number]) for name, value in moments.items()}
    return saved | {"state": state}


def _moment(value: Any, parameter: Tensor) -> Any:
    """What is saved of a parameter: moments have its shape, what is counted has not."""
    is_moment = isinstance(value, Part) or (isinstance(value, Tensor) and value.shape == parameter.shape)
    return fitted(value, parameter) if is_moment else value


def fitted(value: Tensor | Part, like: Tensor) -> Tensor:
    """A saved tensor laid out among the ranks as another one, if that is sharded.

    Raises:
        ValueError: it has another shape.
    """
    form: Any = saved_form(like)
    if not isinstance(form, Part):
        if isinstance(value, Part):
            raise ValueError("a tensor was saved sharded that is not sharded now")
        return value
    from torch.distributed.tensor import DTensor

    sharded: Any = like
    if isinstance(value, Tensor):
        if value.shape != like.shape:
            raise ValueError(f"size mismatch: {tuple(value.shape)} for {tuple(like.shape)}")
        rows = value[form.start : form.start + len(form.rows)]
        value = Part(rows=rows, start=form.start, num_rows=form.num_rows)
    if (value.num_rows, value.rows.shape) != (form.num_rows, form.rows.shape):
        raise ValueError(f"size mismatch: rows {tuple(value.rows.shape)} for {tuple(form.rows.shape)}")
    return DTensor.from_local(
        value.rows.to(form.rows.device), sharded.device_mesh, sharded.placements,
        shape=sharded.shape, stride=sharded.stride(),
    )  # fmt: skip
