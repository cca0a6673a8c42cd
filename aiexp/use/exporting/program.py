"""A network as torch's exported program, with free sizes: what ONNX and .pt2 files are made of."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from aiexp.errors import ConfigError, reason_of
from aiexp.prediction.network import Network

# Sizes 0 and 1 would be taken for constants.
SMALLEST_EXAMPLE = 3


def free_sizes(network: Network) -> dict[str, tuple[int, int | None]]:
    """The free dimensions of a network, each with the smallest and largest size; None: any."""
    limits = {name: limit for port in network.inputs.values() for name, limit in port.limits.items()}
    names = [size for port in network.inputs.values() for size in port.sizes if isinstance(size, str)]
    return {name: limits.get(name, (1, None)) for name in names}


def fitting(limits: tuple[int, int | None], size: int) -> int:
    """The allowed size that is nearest."""
    low, high = limits
    return max(low, size if high is None else min(size, high))


def exported(name: str, network: Network) -> ExportedProgram:
    """The program of a network.

    Raises:
        ConfigError: its code cannot be followed, or it allows fewer sizes than it says.
    """
    free = free_sizes(network)
    dims = {size: Dim(size, min=low, max=high) for size, (low, high) in free.items() if low != high}
    sizes = {size: fitting(free[size], SMALLEST_EXAMPLE + place) for place, size in enumerate(free)}
    examples = tuple(port.example(sizes) for port in network.inputs.values())
    with torch.no_grad(), quiet(), export_errors(name):
        return torch.export.export(network.module, examples, dynamic_shapes=shapes(network, dims))


def shapes(network: Network, dims: dict[str, Any]) -> Any:
    """What torch calls dynamic shapes, for a module with `*tensors` or an argument for each."""
    each = tuple(
        {place: dims[size] for place, size in enumerate(port.sizes) if size in dims}
        for port in network.inputs.values()
    )
    code = type(network.module).forward.__code__
    takes_any = bool(code.co_flags & 0x04)  # CO_VARARGS: torch sees one argument, a tuple
    return (each,) if takes_any else each


@contextmanager
def export_errors(name: str) -> Generator[None]:
    """A body in which torch follows the code of a network, whatever that leads to."""
    try:
        yield
    except Exception as error:  # torch raises what the code it follows leads to, and a dozen kinds of its own
        raise ConfigError(
            f"network '{name}' cannot be exported: {reason_of(error)}", where=name,
            fix="what it computes may depend on the values of tensors only through tensors",
        ) from error  # fmt: skip


@contextmanager
def quiet() -> Generator[None]:
    """A body in which torch and ONNX Runtime do not speak of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
