"""The attentions inside a model of transformers, with keys and values of their own."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.model.peft.base import unfit

NAME = "aiexp_prefix"  # of the way to compute attention, among those that transformers knows


def add_prefixes(model: Any, make: Callable[[int, int], nn.Module]) -> None:
    """Gives each attention of a model a module that puts keys and values before those of a text.

    A first forward pass shows where they are: all that compute as the model's config says, which nearly all
    models of transformers do.

    Args:
        model: Of transformers.
        make: Such a module of the number of key heads and their size.

    Raises:
        ConfigError: none of its attentions can be reached so.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    found: dict[nn.Module, tuple[int, int]] = {}

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
    ) -> Any:
        prefix = getattr(module, "prefix", None)
        if prefix is None:
            found[module] = (key.shape[1], key.shape[3])
            return sdpa_attention_forward(module, query, key, value, attention_mask, **more)
        mask = whole_mask(module, query, key, attention_mask, more.pop("is_causal", None))
        tokens = key.shape[2]
        key, value = prefix(key, value)
        if mask is not None:
            is_bool = mask.dtype == torch.bool
            mask = F.pad(mask, (key.shape[2] - tokens, 0), value=True if is_bool else 0.0)
        return sdpa_attention_forward(module, query, key, value, mask, is_causal=False, **more)

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 2, dtype=torch.int64, device=model.device))
    if not found:
        raise unfit(model, "computes attention in a way of its own: no keys and values can be put before")
    for module, (num_heads, size) in found.items():
        module.prefix = make(num_heads, size)


def whole_mask(module: Any, query: Tensor, key: Tensor, mask: Any, is_causal: bool | None) -> Any:
    """The mask of an attention, also where that would be left to the kernel: each token sees those before."""
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    length, whole = query.shape[2], key.shape[2]
    if mask is not None or not is_causal or length == 1:
        return mask
    return torch.ones(1, 1, length, whole, dtype=torch.bool, device=query.device).tril(whole - length)
