"""Attention of a transformer, read off while it runs: from calls of softmax and of torch's own attention.

Nothing of the model is changed, and nothing is computed where nobody watches.
"""

from collections.abc import Callable
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Tensor letters: L layers, N heads, S queries, T tokens, D head size.

SOFTMAX = (torch.softmax, F.softmax, Tensor.softmax)


@final
class Watching(TorchFunctionMode):
    """Keeps the weights of every attention over so many tokens, in the order of the layers.

    Args:
        tokens: T of the one text in the batch.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.inside = tokens, False
        self.maps: list[Tensor] = []  # (S, T) means over heads

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self.keep(weights(*args, **kwargs))
        self.inside = func in SOFTMAX  # F.softmax calls Tensor.softmax: it counts once
        try:
            made = func(*args, **kwargs)
        finally:
            self.inside = False
        if func in SOFTMAX:
            self.keep(made)
        return made

    def keep(self, made: Tensor) -> None:
        """Takes weights (..., S, T), if they are such."""
        if made.ndim >= 3 and made.shape[-1] == self.tokens and made.shape[-2] in (1, self.tokens):
            self.maps.append(made.detach().float().flatten(0, -3).mean(0).cpu())


def weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The softmax in `F.scaled_dot_product_attention`, whose arguments these are."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, -torch.inf)
    if attn_mask is not None:
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if is_bool else scores + attn_mask
    return scores.softmax(-1)


def attention_maps(call: Callable[[], object], tokens: int) -> list[Tensor]:
    """Of each layer (S, T) weights, the mean over its heads; S is 1 where only the first token asks.

    Args:
        call: Runs the model on one text.
        tokens: T.
    """
    with torch.no_grad(), Watching(tokens) as watching:
        call()
    return watching.maps


def rollout(maps: list[Tensor]) -> Tensor:
    """(T,) how much of each token reaches the first one of the last layer; they add up to 1.

    Source: Abnar & Zuidema 2020 (arXiv 2005.00928), section 3: half of each layer is attention, half the
    residual connection.
    """
    share = torch.zeros(maps[-1].shape[-1])
    share[0] = 1.0
    for each in reversed(maps):
        # Where one token asks, the others pass on what they had: nothing of them is looked at any more.
        asked = share @ each if len(each) == len(share) else share[0] * each[0]
        share = 0.5 * asked + 0.5 * share
    return share / share.sum()
