"""Whether two values are the same to the bit, whatever they are made of."""

import dataclasses
import hashlib
import random
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from aiexp.checkpoint.blocks import Blocks


def digests(value: Any, path: str = "") -> dict[str, str]:
    """Path to digest of every part of a nested value, such as `stepper/window/loss`.

    Objects of other classes count as equal: only what they are is looked at.
    """
    if isinstance(value, Mapping):
        items = {str(k): v for k, v in cast(Mapping[Any, Any], value).items()}
    elif isinstance(value, list | tuple | deque):
        items = {str(i): v for i, v in enumerate(cast(list[Any], value))}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    else:
        return {path: _leaf(value)}
    parts = {path: f"{type(value).__name__} {list(items)}"} if not items else {}
    for name, item in items.items():
        parts |= digests(item, f"{path}/{name}" if path else name)
    return parts


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Paths whose digests differ, or that only one has."""
    return [path for path in {**one, **other} if one.get(path) != other.get(path)]


def _leaf(value: Any) -> str:
    """A digest of what is not nested."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        return _hash(f"{plain.dtype} {tuple(plain.shape)}", plain.reshape(-1).view(torch.uint8).numpy())
    if isinstance(value, Blocks):
        return _leaf(value.array[: value.num_rows])
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(cast(Any, value))
        return _hash(f"{array.dtype} {array.shape}", array.tobytes())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, torch.Generator):
        return _leaf(value.get_state())
    if isinstance(value, random.Random):
        return repr(value.getstate())
    if isinstance(value, set | frozenset):
        return repr(sorted(repr(v) for v in cast(set[Any], value)))
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return repr(value)
    return type(value).__qualname__


def _hash(kind: str, data: Any) -> str:
    return f"{kind} {hashlib.sha256(data).hexdigest()}"
