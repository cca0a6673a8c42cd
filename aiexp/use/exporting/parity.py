"""How far a network that was read back is from the one it was made of, and where they part."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aiexp.errors import CheckpointError
from aiexp.prediction.network import Network
from aiexp.use.exporting.form import Inner, Rebuilt

# Largest difference allowed, of outputs in fp32; for outputs beyond 1 a share of the largest.
TOLERANCE = 1e-4


def tensors_of(made: Any) -> list[Tensor]:
    """The tensors that a network returned."""
    return [made] if isinstance(made, Tensor) else list(made)


def called(network: Network, tensors: Sequence[Tensor]) -> list[Tensor]:
    """What the network itself returns."""
    with torch.no_grad():
        return tensors_of(network.module(*tensors))


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference of two tensors, by the largest value where that is above 1; of NaN inf."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.numel():
        return 0.0
    a, b = ours.double(), theirs.double()
    apart = torch.where(a == b, 0.0, (a - b).abs()).max().item()
    scale = max(1.0, a.abs().max().item())
    return apart / scale if apart == apart and scale < float("inf") else float("inf")


def largest_difference(network: Network, rebuilt: Rebuilt, cases: Sequence[Sequence[Tensor]]) -> float:
    """Over all outputs of all cases."""
    apart = [
        difference(ours, theirs) if len(made) == len(wanted) else float("inf")
        for case in cases
        for wanted, made in [(called(network, case), rebuilt.outputs(case))]
        for ours, theirs in zip(wanted, made, strict=False)
    ]
    return max(apart)


def check(name: str, network: Network, rebuilt: Rebuilt, cases: Sequence[Sequence[Tensor]]) -> float:
    """The largest difference.

    Raises:
        CheckpointError: it is too large; names the network, and where it can be found the layer.
    """
    largest = largest_difference(network, rebuilt, cases)
    if largest <= TOLERANCE:
        return largest
    worst = max(cases, key=lambda case: largest_difference(network, rebuilt, [case]))
    layer, apart = first_layer(inner(network.module, worst), rebuilt.inner(worst))
    begins = f"; it begins at layer '{layer}' ({apart:.1e})" if layer else ""
    sizes = ", ".join("x".join(map(str, tensor.shape)) for tensor in worst)
    raise CheckpointError(
        f"network '{name}' differs from the trained one by {largest:.1e} for inputs of {sizes}{begins}",
        where=f"{name}.{layer}" if layer else name,
        fix=f"nothing was kept: at most {TOLERANCE:.0e} is allowed",
    )  # fmt: skip


def first_layer(ours: Inner, theirs: Inner) -> tuple[str, float]:
    """The first module that was done whose outputs differ too much, and by how much; "" if there is none."""
    for name, value in ours.items():
        other = theirs.get(name)
        if name and other is not None and other.shape == value.shape:
            apart = difference(value, other)
            if apart > TOLERANCE:
                return name, apart
    return "", 0.0


def inner(module: nn.Module, tensors: Sequence[Tensor]) -> Inner:
    """What the modules inside a network returned, in the order in which they were done."""
    found: Inner = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found.pop(name, None)
                found[name] = output

        return hook

    handles = [part.register_forward_hook(keep(name)) for name, part in module.named_modules()]
    try:
        with torch.no_grad():
            module(*tensors)
    finally:
        for handle in handles:
            handle.remove()
    return found
