"""Training state as data: nested values split into tensors, blocks and JSON; and the random generators."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from aiexp.checkpoint.blocks import Blocks
from aiexp.checkpoint.part import Part, saved_form

JSON = None | bool | int | float | str | list[Any] | dict[str, Any]


def split(tree: Any) -> tuple[JSON, dict[str, Tensor | Part], list[Blocks]]:
    """Splits nested dicts, lists and tuples into a JSON skeleton, a flat dict of tensors, and blocks.

    The skeleton names each tensor by its path. Integer keys, tuples and arrays survive `join`.

    Raises:
        TypeError: for any other kind of value; nothing is pickled.
    """
    tensors: dict[str, Tensor | Part] = {}
    blocks: list[Blocks] = []
    return _split(tree, "", tensors, blocks, {}), tensors, blocks


def _split(
    value: Any,
    path: str,
    tensors: dict[str, Tensor | Part],
    blocks: list[Blocks],
    seen: dict[tuple[Any, ...], str],
) -> JSON:
    if isinstance(value, Tensor):
        saved = saved_form(value)
        tensor = saved.rows if isinstance(saved, Part) else saved
        # Tied parameters are stored once; the others refer to the first by its path.
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        name = seen.setdefault(identity, path) if tensor.numel() else path
        tensors.setdefault(name, saved)
        return {"__tensor__": name}
    if isinstance(value, np.ndarray):
        tensors[path] = torch.from_numpy(np.ascontiguousarray(value))
        return {"__array__": path}
    if isinstance(value, Blocks):
        blocks.append(value)
        return {"__blocks__": len(blocks) - 1}
    if isinstance(value, np.generic):
        return cast(JSON, value.item())
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value)
        if odd := [key for key in items if not isinstance(key, str | int | float | None)]:
            raise TypeError(
                f"state at '{path}' has the key {odd[0]!r}, a {type(odd[0]).__name__}; keys are texts and "
                "numbers: save [list(key), value] pairs"
            )
        if all(isinstance(k, str) and not k.startswith("__") for k in items):
            return {k: _split(v, f"{path}/{k}", tensors, blocks, seen) for k, v in items.items()}
        return {"__items__": [[k, _split(v, f"{path}/{k}", tensors, blocks, seen)] for k, v in items.items()]}
    if isinstance(value, list | tuple):
        parts = [
            _split(v, f"{path}/{i}", tensors, blocks, seen) for i, v in enumerate(cast(list[Any], value))
        ]
        return parts if isinstance(value, list) else {"__tuple__": parts}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"state at '{path}' is a {type(value).__name__}; use tensors, arrays and JSON values")


def join(skeleton: JSON, tensors: Mapping[str, Tensor | Part], blocks: Sequence[Blocks] = ()) -> Any:
    """The inverse of `split`."""
    if isinstance(skeleton, list):
        return [join(v, tensors, blocks) for v in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    match skeleton:
        case {"__tensor__": str(name)}:
            return tensors[name]
        case {"__array__": str(name)}:
            return cast(Tensor, tensors[name]).numpy()
        case {"__blocks__": int(number)}:
            return blocks[number]
        case {"__tuple__": list(parts)}:
            return tuple(join(v, tensors, blocks) for v in cast(list[Any], parts))
        case {"__items__": list(items)}:
            return {k: join(v, tensors, blocks) for k, v in cast(list[Any], items)}
        case _:
            return {k: join(v, tensors, blocks) for k, v in skeleton.items()}


def tensor_names(skeleton: JSON) -> set[str]:
    """The tensors that a skeleton refers to."""
    if isinstance(skeleton, dict):
        parts, own = list(skeleton.values()), (skeleton.get("__tensor__"), skeleton.get("__array__"))
    else:
        parts, own = skeleton if isinstance(skeleton, list) else [], ()
    return {name for name in own if isinstance(name, str)}.union(*map(tensor_names, parts))


def random_state() -> dict[str, Any]:
    """The state of every global random generator: python, numpy, torch on the CPU and each CUDA device."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=True),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def load_random_state(state: dict[str, Any]) -> None:
    """Restores what `random_state` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    """Seeds every global random generator from one number."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
