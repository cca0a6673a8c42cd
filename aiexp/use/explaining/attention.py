"""Attention of a transformer, read off while it runs: from calls of softmax and of torch's own attentions.

Nothing of the model is changed, and nothing is computed where nobody watches.
"""

from collections.abc import Callable
from typing import Any, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Tensor letters: L layers, N heads, S queries, T tokens, D head size, H height, W width.

SOFTMAX = (torch.softmax, F.softmax, Tensor.softmax)
ASKED = {"need_weights": True, "average_attn_weights": True}


@final
class Watching(TorchFunctionMode):
    """Keeps the weights of every attention, in the order of the layers.

    Args:
        tokens: T of the one text in the batch; None: any number.
    """

    def __init__(self, tokens: int | None = None) -> None:
        super().__init__()
        self.tokens, self.inside, self.is_over = tokens, False, False
        self.maps: list[Tensor] = []  # (S, T) means over heads

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self.keep(weights(*args, **kwargs))
        if func is F.multi_head_attention_forward:
            # `nn.MultiheadAttention`, which mostly is not asked for its weights. Torch shows nothing of what
            # happens inside, so it is asked a second time; what it answers the model is left alone.
            self.keep(func(*args, **kwargs | ASKED)[1])
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
        tokens = self.tokens or made.shape[-1]
        if self.is_over or made.ndim < 3:
            return
        if made.shape[-1] == tokens and made.shape[-2] in (1, tokens):
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
    """Of each layer of a text (S, T) weights, the mean over heads; S is 1 where only the first token asks.

    Args:
        call: Runs the model on one text.
        tokens: T.
    """
    with torch.no_grad(), Watching(tokens) as watching:
        call()
    return watching.maps


def patch_maps(task: nn.Module, call: Callable[[], object], size: tuple[int, int]) -> list[Tensor]:
    """Of each layer of a vision transformer (S, T) weights, the mean over heads; S is 1 or T.

    The first token is the class token, the others are patches row by row. Attention over anything else, such
    as the windows of a Swin transformer, is no such map.

    Args:
        task: Holds the model.
        call: Runs it on one picture; where it looks at the mirror image as well, that comes second.
        size: H and W of the picture.
    """
    with torch.no_grad(), Watching() as watching, FirstLook(task, watching):
        call()
    return [made for made in watching.maps if patch_grid(made.shape[-1], size) is not None]


def patch_grid(tokens: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of the square patches that a picture (H, W) is cut into; None: they are no such.

    Args:
        tokens: T, of which one is the class token.
        size: H and W.
    """
    height, width = size
    patches = tokens - 1
    rows = round((patches * height / width) ** 0.5)
    columns = patches // max(rows, 1)
    is_grid = rows > 1 < columns and rows * columns == patches
    return (rows, columns) if is_grid and round(rows * width / height) == columns else None


@final
class FirstLook:
    """A body in which attention is over when a task calls the same module for a second time.

    Classifiers average the answers to a picture and to its mirror image; the second is not the picture.

    Args:
        task: Holds the modules.
        watching: Has maps by then.
    """

    def __init__(self, task: nn.Module, watching: Watching) -> None:
        self.task, self.watching = task, watching
        self.depth = 0  # of calls of modules within each other
        self.seen: set[nn.Module] = set()  # called by none of the others

    def __enter__(self) -> Self:
        modules = list(self.task.modules())
        self.handles = [module.register_forward_pre_hook(self.enter) for module in modules]
        self.handles += [module.register_forward_hook(self.leave, always_call=True) for module in modules]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def enter(self, module: nn.Module, _: Any) -> None:
        """Before a call."""
        if not self.depth:
            self.watching.is_over |= module in self.seen and bool(self.watching.maps)
            self.seen.add(module)
        self.depth += 1

    def leave(self, *_: Any) -> None:
        """After it."""
        self.depth -= 1


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
