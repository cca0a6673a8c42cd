"""Multi-head self-attention from stacked projections.

Tensor letters: `B` batch, `T` tokens, `H` hidden size, `N` heads, `D` head size.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aiexp.model.layer.dropout import is_eager_cpu, keep_mask, keep_scale, masked

LONG = 256  # tokens from which the scores no longer fit the caches; measured, see docs/decisions.md


def attend(
    projected: Tensor, bias: Tensor | None, num_heads: int, p: float, prefix: nn.Module | None = None
) -> Tensor:
    """softmax(query key^T / sqrt(D) + bias) value, with dropout of the softmax.

    Args:
        projected: (B, T, 3H) query, key and value side by side.
        bias: (B, 1, 1, T) float, added to the scores; None adds nothing.
        num_heads: N, a divisor of H.
        p: Probability of dropping an attention weight, [0, 1).
        prefix: Puts keys and values before these (`aiexp.model.peft.prefix`); None: there are none.

    Returns:
        (B, T, H), dtype of `projected`.
    """
    if prefix is None and is_eager_cpu(projected) and (p > 0.0 or projected.shape[1] < LONG):
        return _Attend.apply(projected, bias, num_heads, p)  # pyright: ignore[reportReturnType]
    query, key, value = projected.chunk(3, -1)
    return attend_apart(query, key, value, bias, num_heads, p, prefix)


def attend_apart(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, num_heads: int, p: float,
    prefix: nn.Module | None = None,
) -> Tensor:  # fmt: skip
    """`attend` for (B, S, H) queries over (B, T, H) keys and values; (B, S, H)."""
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value))
    if prefix is not None:
        tokens = key.shape[2]
        key, value = prefix(key, value)  # (B, N, P + T, D)
        bias = None if bias is None else F.pad(bias, (key.shape[2] - tokens, 0))
    bias = None if bias is None else bias.to(query.dtype)
    context = F.scaled_dot_product_attention(query, key, value, bias, p)  # (B, N, S, D)
    return context.transpose(1, 2).flatten(-2)


class _Attend(torch.autograd.Function):
    """Attention for short sequences on a CPU.

    PyTorch's own takes its slow path when there is dropout, and its bfloat16 softmax is 3 times slower than
    the float32 one forwards and 12 times backwards (rows of 28). So: products in the dtype of the input,
    softmax in float32, and one copy each way between the (B, T, 3, N, D) and (3, B * N, T, D) layouts.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, bias: Tensor | None, num_heads: int, p: float) -> Tensor:  # pyright: ignore
        """(B, T, 3H) to (B, T, H)."""
        batch, tokens, width = projected.shape
        size = width // 3 // num_heads
        stacked = projected.view(batch, tokens, 3, num_heads, size).permute(2, 0, 3, 1, 4)
        query, key, value = stacked.reshape(3, batch * num_heads, tokens, size).unbind()
        scores = torch.bmm(query, key.transpose(1, 2)).float().mul_(size**-0.5)  # (B * N, T, T)
        if bias is not None:
            scores.view(batch, num_heads, tokens, tokens).add_(bias)
        weights = torch.softmax(scores, -1)
        kept, keep = weights.to(value.dtype), None
        if p > 0.0:
            keep = keep_mask(weights.shape, p)
            kept = masked(kept, keep)
            value = value * keep_scale(p)
        ctx.save_for_backward(query, key, value, weights, kept, keep)
        ctx.p, ctx.num_heads = p, num_heads
        context = torch.bmm(kept, value).view(batch, num_heads, tokens, size)
        return context.transpose(1, 2).reshape(batch, tokens, width // 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        """(B, T, H) gradient to that of the (B, T, 3H) projections."""
        query, key, value, weights, kept, keep = ctx.saved_tensors
        heads, (rows, tokens, size) = ctx.num_heads, query.shape
        batch = rows // heads
        grad = grad.reshape(batch, tokens, heads, size).transpose(1, 2).reshape(rows, tokens, size)
        kept_grad = torch.bmm(grad, value.transpose(1, 2))  # (B * N, T, T)
        if keep is not None:
            kept_grad = masked(kept_grad, keep)
        scores_grad = torch.ops.aten._softmax_backward_data(kept_grad.float(), weights, -1, torch.float32)
        scores_grad = scores_grad.mul_(size**-0.5).to(query.dtype)
        result = grad.new_empty(batch, tokens, 3, heads, size)
        into = result.permute(2, 0, 3, 1, 4)  # (3, B, N, T, D)
        into[0].copy_(torch.bmm(scores_grad, key).view(batch, heads, tokens, size))
        into[1].copy_(torch.bmm(scores_grad.transpose(1, 2), query).view(batch, heads, tokens, size))
        value_grad = torch.bmm(kept.transpose(1, 2), grad).view(batch, heads, tokens, size)
        torch.mul(value_grad, keep_scale(ctx.p), out=into[2])
        return result.view(batch, tokens, 3 * heads * size), None, None, None
