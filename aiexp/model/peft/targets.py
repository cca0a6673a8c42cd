"""The linear layers of a network that adapters are put on, by their names."""

import re
import sys
from collections.abc import Iterable
from typing import Any, Literal

from torch import nn

from aiexp.errors import ConfigError, nearest
from aiexp.model.layer.projection import Projection
from aiexp.model.peft.base import unfit

Targets = Literal["attention", "all"] | list[str]

# How networks call what makes queries, keys and values; the first is ours, and BLOOM's and NeoX's.
ATTENTION = (
    "query_key_value", "query", "key", "value", "q_proj", "k_proj", "v_proj", "qkv_proj", "c_attn", "Wqkv",
    "q_lin", "k_lin", "v_lin", "query_proj", "key_proj", "value_proj",
)  # fmt: skip
# The last layers of language models, which may share their weights with the vectors of the tokens.
_HEADS = ("head", "lm_head", "embed_out")
# Torch's own layers reach for the weights of these themselves: in them an adapter would do nothing.
_CLOSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def chosen_layers(model: nn.Module, targets: Targets) -> dict[str, nn.Module]:
    """The layers that targets mean, by their dotted names.

    Args:
        model: The network.
        targets: "attention": queries, keys and values; "all": every linear layer but a language model's
            last; or names: dotted ones, or their ends.

    Raises:
        ConfigError: a name is none of its linear layers', or it has no such layers at all.
    """
    found = linear_layers(model)
    if targets == "attention":
        chosen = {name: layer for name, layer in found.items() if name.rpartition(".")[2] in ATTENTION}
        if not chosen:
            raise unfit(model, "has no attention whose queries, keys and values an adapter could be put on")
        return chosen
    if targets == "all":
        chosen = {name: layer for name, layer in found.items() if name.rpartition(".")[2] not in _HEADS}
        if not chosen:
            raise unfit(model, "has no linear layers that an adapter could be put on")
        return chosen
    wanted = {target: [name for name in found if f".{name}".endswith(f".{target}")] for target in targets}
    for target, names in wanted.items():
        if not names:
            raise _unknown(target, found)
    if not wanted:
        raise ConfigError(
            "it names no layers", where="Lora.target_modules", fix="Lora.target_modules=attention"
        )
    return {name: found[name] for names in wanted.values() for name in names}


def matching_layers(model: nn.Module, pattern: str) -> dict[str, nn.Module]:
    """The linear layers whose dotted names end as a regular expression says."""
    ends = re.compile(rf"(?:.*\.)?(?:{pattern})")
    return {name: layer for name, layer in linear_layers(model).items() if ends.fullmatch(name)}


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Every layer that multiplies by a matrix when it is called, by its dotted name."""
    closed = {
        id(child) for module in model.modules() if isinstance(module, _CLOSED) for child in module.modules()
    }
    return {
        name: module
        for name, module in model.named_modules()
        if (type(module) in (nn.Linear, Projection) or is_transposed(module)) and id(module) not in closed
    }


def is_transposed(layer: nn.Module) -> bool:
    """Whether a layer keeps its weight as (inputs, outputs): transformers' Conv1D, as GPT-2 has it."""
    module: Any = sys.modules.get("transformers.pytorch_utils")  # whoever has one has imported it
    return module is not None and isinstance(layer, module.Conv1D)


def replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Puts a layer in the place of the one of a dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)


def _unknown(target: str, found: Iterable[str]) -> ConfigError:
    """The error for a name that no layer has."""
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in found))
    shown = ", ".join(ends[:12]) + (", ..." if ends[12:] else "")
    return ConfigError(
        f"no linear layer is called '{target}'.{nearest(target, [*ends, *found])}",
        where="Lora.target_modules",
        fix=f"layers are called {shown}" if ends else "choose another model: it has none",
    )  # fmt: skip
