"""A decoder: a transformer in which each token sees itself and those before it, in plain PyTorch.

Tensor letters: `B` batch, `T` tokens, `S` tokens with those before, `H` hidden size, `N` heads, `D` head
size, `V` vocabulary.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.model.layer.dropout import dropout_add
from aiexp.ranges import PositiveInt, Share

KeysAndValues = list[tuple[Tensor, Tensor]]  # of each block, (B, N, S, D) both
_STD = 0.02  # of fresh weights (GPT-2)
_BASE = 10_000.0  # of the wave lengths of rotary positions


@final
class Gpt(nn.Module):
    """A decoder with norms before its blocks; it is made once the vocabulary is known.

    Source: Radford et al. 2019 (GPT-2); rotary positions: Su et al. 2021 (arXiv 2104.09864), equation 34, in
    halves instead of pairs.
    Departures: no biases in linear layers and norms, dropout of sums alone, not of attention weights.

    Args:
        num_layers: Blocks.
        num_heads: Attention heads of each.
        hidden_size: Width; a multiple of `num_heads`, for rotary positions of twice that.
        positions: "learned": a vector for each place; "rotary": queries and keys are turned by their places.
        dropout: Probability of dropping a unit of what a block adds, [0, 1).
        tie_weights: Whether the vectors of the tokens are also the rows of the last layer.

    Raises:
        ConfigError: `hidden_size` is no such multiple.
    """

    tokenizer = None  # that of the data
    is_unrolled = False

    def __init__(
        self, *, num_layers: PositiveInt, num_heads: PositiveInt, hidden_size: PositiveInt,
        positions: Literal["learned", "rotary"], dropout: Share, tie_weights: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        multiple = num_heads * (2 if positions == "rotary" else 1)
        if hidden_size % multiple:
            raise ConfigError(
                f"hidden_size {hidden_size} is not a multiple of {multiple}", where="hidden_size",
                fix=f"hidden_size={-(-hidden_size // multiple) * multiple}",
            )  # fmt: skip
        self.num_layers, self.num_heads, self.hidden_size = num_layers, num_heads, hidden_size
        self.dropout, self.tie_weights, self.is_rotary = dropout, tie_weights, positions == "rotary"
        self.max_tokens: int | None = None
        self.blocks = nn.ModuleList(Block(num_heads, hidden_size, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size, bias=False)
        self.prompt: Any = None  # vectors before those of the tokens; see `add_prompt`

    def set_vocabulary(self, size: int, context: int, boundary: int | None) -> None:
        """Makes what depends on the data.

        Args:
            size: V.
            context: Longest T.
            boundary: The token that a document begins with: what stands before it is not seen; None: all is.
        """
        self.max_tokens, self.boundary = context, boundary
        self.tokens = nn.Embedding(size, self.hidden_size)
        self.positions = None if self.is_rotary else nn.Embedding(context, self.hidden_size)
        self.head = None if self.tie_weights else nn.Linear(self.hidden_size, size, bias=False)
        waves = rotary_waves(context, self.hidden_size // self.num_heads) if self.is_rotary else None
        self.register_buffer("waves", waves, persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1 and not parameter.is_meta:
                is_sum = name.endswith(("attended.weight", "output.weight"))  # two for each layer add up
                nn.init.normal_(parameter, std=_STD / math.sqrt(2 * self.num_layers) if is_sum else _STD)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of (B, T) int64, T <= max_tokens."""
        mask, places = None, None
        if self.boundary is not None:
            begins = input_ids == self.boundary
            mask, places = mask_within(begins), places_within(begins)
        hidden, turns = self._embed(input_ids, 0, places)
        for block in self.blocks:
            hidden, _ = block(hidden, turns, None, mask=mask, keeps=False)
        return self._logits(hidden[:, -input_ids.shape[1] :])

    def continued(self, input_ids: Tensor, state: KeysAndValues | None) -> tuple[Tensor, KeysAndValues]:
        """Logits (B, V) of the token after the last, and what saves computing all of this again.

        Args:
            input_ids: (B, T) int64.
            state: Of the tokens before, S - T <= max_tokens - T of them; None: there are none.
        """
        before = 0 if state is None else state[0][0].shape[2] - self._prompt_length
        hidden, turns = self._embed(input_ids, before)
        after: KeysAndValues = []
        for number, block in enumerate(self.blocks):
            hidden, kept = block(hidden, turns, None if state is None else state[number])
            after.append(kept)
        return self._logits(hidden[:, -1]), after

    def shards(self) -> list[nn.Module]:
        """The modules whose weights may lie on several devices one by one."""
        return list(self.blocks)

    def add_prefixes(self, make: Callable[[int, int], nn.Module]) -> None:
        """See `aiexp.model.peft.prefix.Prefixed`."""
        for block in self.blocks:
            block.prefix = make(self.num_heads, self.hidden_size // self.num_heads)

    def add_prompt(self, make: Callable[[nn.Embedding], nn.Module]) -> None:
        """See `aiexp.model.peft.prompt.Prompted`."""
        self.prompt = make(self.tokens)

    @property
    def _prompt_length(self) -> int:
        return 0 if self.prompt is None else len(self.prompt)

    def _logits(self, hidden: Tensor) -> Tensor:
        """(..., H) to (..., V)."""
        weight = self.tokens.weight if self.head is None else self.head.weight
        return F.linear(self.norm(hidden), weight)

    def _embed(
        self, input_ids: Tensor, start: int, places: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, H) vectors of tokens that follow `start` others; and of rotary positions their waves.

        Rotary positions count from the window's beginning in every document: only differences matter.
        A prompt of P vectors stands before the first token and on its place: then both have P + T.
        """
        hidden, stop = self.tokens(input_ids), start + input_ids.shape[1]
        waves: Any = self.waves
        if self.positions is not None:
            hidden = hidden + (
                self.positions.weight[start:stop] if places is None else self.positions(places)
            )
        waves = None if waves is None else waves[start:stop]
        if self.prompt is not None and not start:
            hidden = self.prompt.before(hidden)
            waves = None if waves is None else torch.cat([waves[:1].expand(len(self.prompt), -1, -1), waves])
        return F.dropout(hidden, self.dropout, self.training), waves


@final
class Block(nn.Module):
    """Attention and a feed-forward network, each added to what comes in."""

    def __init__(self, num_heads: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_norm = nn.LayerNorm(hidden_size, bias=False)
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.attended = nn.Linear(hidden_size, hidden_size, bias=False)
        self.feed_forward_norm = nn.LayerNorm(hidden_size, bias=False)
        self.intermediate = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.output = nn.Linear(4 * hidden_size, hidden_size, bias=False)
        self.prefix: nn.Module | None = None  # puts keys and values before those of the tokens

    def forward(
        self,
        hidden: Tensor,
        turns: Tensor | None,
        before: tuple[Tensor, Tensor] | None,
        *,
        mask: Tensor | None = None,
        keeps: bool = True,
    ) -> tuple[Tensor, Any]:
        """(B, T, H) to (B, T, H), and keys and values of all tokens.

        Args:
            hidden: (B, T, H).
            turns: (T, 2, D) of rotary positions.
            before: Keys and values of the tokens before these.
            mask: (B, 1, T, T) bool, where the token of the row sees that of the column; None: all before it.
            keeps: Whether to give keys and values; while training nobody wants these views.
        """
        heads = self.query_key_value(self.attention_norm(hidden)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()  # (B, N, T, D) each
        if turns is not None:
            query, key = turned(query, turns), turned(key, turns)
        if before is not None:
            key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        kept = (key, value) if keeps else None
        if self.prefix is not None:
            key, value = self.prefix(key, value)
            if mask is not None:  # every document sees it
                mask = F.pad(mask, (key.shape[2] - mask.shape[3], 0), value=True)
        context = attend(query, key, value, mask)  # (B, N, T, D)
        update = self.attended(context.transpose(1, 2).flatten(-2))
        hidden = dropout_add(update, hidden, self.dropout, training=self.training)
        update = self.output(F.gelu(self.intermediate(self.feed_forward_norm(hidden))))
        hidden = dropout_add(update, hidden, self.dropout, training=self.training)
        return hidden, kept


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """(B, N, T, D): each of the last T tokens attends to itself and to those before it, or as a mask says."""
    length, whole = query.shape[2], key.shape[2]
    if mask is not None:
        return F.scaled_dot_product_attention(query, key, value, mask)
    if length == whole:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    mask = torch.ones(length, whole, dtype=torch.bool, device=query.device).tril(whole - length)
    return F.scaled_dot_product_attention(query, key, value, mask)


def mask_within(begins: Tensor) -> Tensor:
    """(B, 1, T, T) bool: each token sees itself and those before it, from the last beginning on.

    Args:
        begins: (B, T) bool, where a document begins.
    """
    document = begins.cumsum(1)
    return (document[:, None, :, None] == document[:, None, None, :]).tril()


def places_within(begins: Tensor) -> Tensor:
    """(B, T) int64: the place of each token, counted from the last beginning on.

    Args:
        begins: (B, T) bool, where a document begins.
    """
    places = torch.arange(begins.shape[1], device=begins.device).expand_as(begins)
    return places - torch.where(begins, places, 0).cummax(1).values


def rotary_waves(length: int, size: int) -> Tensor:
    """(T, 2, D) float32: cosine and sine of the angle by which each unit of each place is turned."""
    frequencies = _BASE ** (-torch.arange(0, size, 2) / size)  # (D / 2,)
    angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)  # (T, D)
    return torch.stack([angles.cos(), angles.sin()], 1)


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """(B, N, T, D), each pair of a unit of the first half and one of the second turned by its angle."""
    first, second = x.chunk(2, -1)
    return (x * turns[:, 0] + torch.cat([-second, first], -1) * turns[:, 1]).to(x.dtype)
