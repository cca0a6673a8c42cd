"""BERT: a bidirectional transformer encoder for text, in plain PyTorch.

Tensor letters: `B` batch, `T` tokens, `H` hidden size, `N` heads, `D` head size.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.dataset.text.ragged import pad_id
from aiexp.errors import ConfigError
from aiexp.model.carried import carry_files
from aiexp.model.layer.dropout import dropout, dropout_add
from aiexp.model.layer.projection import Projection
from aiexp.model.text.attention import attend, attend_apart
from aiexp.model.text.tokenizer import letter_pair_tokenizer

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}

FIELDS = {  # of Shape: its name in config.json
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_tokens": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "activation": "hidden_act",
    "layer_norm_eps": "layer_norm_eps",
    "initializer_range": "initializer_range",
    "pad_token_id": "pad_token_id",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The sizes of a BERT; field names as in Hugging Face's config.json where one exists.

    Args:
        vocab_size: Rows of the word embedding.
        hidden_size: Width of the residual stream; a multiple of `num_heads`.
        num_layers: Encoder layers.
        num_heads: Attention heads of each layer.
        intermediate_size: Width of the feed-forward block.
        max_tokens: Longest sequence, in tokens.
        type_vocab_size: Segments; only segment 0 is used.
        activation: Key of `ACTIVATIONS`.
        layer_norm_eps: Added to the variance in layer normalisation.
        initializer_range: Standard deviation of freshly drawn weights.
        pad_token_id: Row of the word embedding that never gets a gradient.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_tokens: int = 512
    type_vocab_size: int = 2
    activation: str = "gelu"
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int = 0


@final
class Bert(nn.Module):
    """Text encoder: token ids in, one vector for each token out.

    Args:
        shape: Sizes.
        tokenizer: Turns text into ids below `shape.vocab_size`; carried along, not used by `forward`. None:
            it comes with the data, see `set_tokenizer`.
        dropout: Probability of dropping a hidden unit, [0, 1).
        attention_dropout: Probability of dropping an attention weight, [0, 1).

    Raises:
        ConfigError: `hidden_size` is not a multiple of `num_heads`.

    Source: arXiv 1810.04805; weights and numbers as in Hugging Face's BertModel.
    Departures: query, key and value are one projection; where nothing is said, tokens are in segment 0.
    """

    def __init__(
        self, shape: Shape, *, tokenizer: Tokenizer | None, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        if shape.hidden_size % shape.num_heads:
            raise ConfigError(
                f"hidden_size {shape.hidden_size} is not a multiple of num_heads {shape.num_heads}",
                where="shape.hidden_size",
            )
        self.shape, self.tokenizer = shape, tokenizer
        self.hidden_size, self.max_tokens = shape.hidden_size, shape.max_tokens
        self.num_layers = shape.num_layers
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.embedding = BertEmbedding(shape, dropout)
        self.layers = nn.ModuleList(
            BertLayer(shape, dropout, attention_dropout) for _ in range(shape.num_layers)
        )
        self.pooler = nn.Linear(shape.hidden_size, shape.hidden_size)
        if not self.pooler.weight.is_meta:  # there is nothing to draw into, and trying imports torch._dynamo
            self.apply(self._draw)

    def set_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Takes the tokenizer of the data, and draws a vector for each of its tokens; a run keeps both."""
        self.tokenizer = tokenizer
        pad = pad_id(tokenizer)
        self.shape = replace(self.shape, vocab_size=tokenizer.get_vocab_size(), pad_token_id=pad)
        self.embedding.word = _table(self.shape.vocab_size, self.hidden_size, pad)
        if not self.embedding.word.weight.is_meta:
            self._draw(self.embedding.word)
        carry_description(self, tokenizer)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, segments: Tensor | None = None
    ) -> Tensor:
        """Hidden states.

        Args:
            input_ids: (B, T) int64, 0 <= id < vocab_size, T <= max_tokens.
            attention_mask: (B, T) bool, True for real tokens; None when all are.
            segments: (B, T) int64, of each token, below `type_vocab_size`; None: all are in segment 0.

        Returns:
            (B, T, H) float; rows of padding tokens hold nothing of use.
        """
        hidden, bias = self.embedding(input_ids, segments), self._attention_bias(attention_mask)  # (B, T, H)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden[:, : input_ids.shape[1]]  # without a prompt's

    def sentence_vectors(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`pool(forward(...))`, (B, H), at the price of one layer less.

        Only the first token of the last layer is looked at, so that layer computes only that one: the same
        numbers and gradients up to rounding, and a sixth of MiniLM's work saved.
        """
        hidden, bias = self.embedding(input_ids), self._attention_bias(attention_mask)  # (B, T, H)
        for layer in self.layers[:-1]:
            hidden = layer(hidden, bias)
        return self.pool(self.layers[-1](hidden, bias, first_only=True))

    def pool(self, hidden: Tensor) -> Tensor:
        """Sentence vectors: a dense layer and tanh over the first token; (B, T, H) to (B, H)."""
        return torch.tanh(self.pooler(hidden[:, 0]))

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters by depth: the embedding, each layer, the pooler."""
        return [list(module.parameters()) for module in (self.embedding, *self.layers, self.pooler)]

    def add_prefixes(self, make: Callable[[int, int], nn.Module]) -> None:
        """See `aiexp.model.peft.prefix.Prefixed`."""
        for layer in self.layers:
            layer.prefix = make(self.shape.num_heads, self.hidden_size // self.shape.num_heads)

    def add_prompt(self, make: Callable[[nn.Embedding], nn.Module]) -> None:
        """See `aiexp.model.peft.prompt.Prompted`; the vectors stand behind the text: [CLS] stays first."""
        self.embedding.prompt = make(self.embedding.word)

    def _attention_bias(self, mask: Tensor | None) -> Tensor | None:
        """(B, 1, 1, T) float: 0 for tokens, the lowest float for padding; None when nothing is padded."""
        if mask is None:
            return None
        # Looking at the values would stall a GPU and break a compiled graph; on a CPU it saves the additions.
        if mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all()):
            return None
        bias = torch.zeros(mask.shape, device=mask.device)
        bias = bias.masked_fill_(~mask.bool(), torch.finfo(torch.bfloat16).min)[:, None, None]
        prompt = self.embedding.prompt
        return bias if prompt is None else F.pad(bias, (0, len(prompt)))

    def _draw(self, module: nn.Module) -> None:
        """Fresh weights: normal with `initializer_range`, zero biases, a zero padding row."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.shape.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()


@final
class BertEmbedding(nn.Module):
    """Sum of word, position and segment embeddings, normalised."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.word = _table(shape.vocab_size, shape.hidden_size, padding_idx=shape.pad_token_id)
        self.position = _table(shape.max_tokens, shape.hidden_size)
        self.segment = _table(shape.type_vocab_size, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.dropout = dropout
        self.prompt: Any = None  # vectors behind those of the tokens; see `Bert.add_prompt`

    def forward(self, input_ids: Tensor, segments: Tensor | None = None) -> Tensor:
        """(B, T) ids to (B, T, H); with a prompt of P vectors to (B, T + P, H)."""
        segment = self.segment.weight[0] if segments is None else self.segment(segments)
        position = self.position.weight[: input_ids.shape[1]] + segment  # (T, H), with segments (B, T, H)
        summed = self.word(input_ids) + position
        if self.prompt is not None:
            summed = torch.cat([summed, self.prompt(summed)], 1)
        return dropout(self.norm(summed), self.dropout, training=self.training)


@final
class BertLayer(nn.Module):
    """Self-attention and a feed-forward block, each with dropout, a residual sum and a norm after it."""

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        size = shape.hidden_size
        self.query_key_value = Projection(size, 3 * size)
        self.attention_output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, eps=shape.layer_norm_eps)
        self.intermediate = nn.Linear(size, shape.intermediate_size)
        self.output = nn.Linear(shape.intermediate_size, size)
        self.output_norm = nn.LayerNorm(size, eps=shape.layer_norm_eps)
        self.activation = ACTIVATIONS[shape.activation]
        self.num_heads = shape.num_heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.prefix: nn.Module | None = None  # puts keys and values before those of the text

    def forward(self, hidden: Tensor, bias: Tensor | None, first_only: bool = False) -> Tensor:
        """(B, T, H) to (B, T, H), or to (B, 1, H) of the first token; `bias` is added to the scores."""
        if first_only:
            return self._first_token(hidden, bias)
        p = self.attention_dropout if self.training else 0.0
        context = attend(self.query_key_value(hidden), bias, self.num_heads, p, self.prefix)
        return self._finish(context, hidden)

    def _first_token(self, hidden: Tensor, bias: Tensor | None) -> Tensor:
        """`forward(hidden, bias)[:, :1]`: (B, T, H) to (B, 1, H)."""
        size, first = hidden.shape[-1], hidden[:, :1]
        query = self.query_key_value.part(first, slice(size))
        key, value = self.query_key_value.part(hidden, slice(size, None)).chunk(2, -1)
        p = self.attention_dropout if self.training else 0.0
        return self._finish(attend_apart(query, key, value, bias, self.num_heads, p, self.prefix), first)

    def _finish(self, context: Tensor, hidden: Tensor) -> Tensor:
        """What follows attention, token by token; both (B, T, H)."""
        update = self.attention_output(context)
        hidden = self.attention_norm(dropout_add(update, hidden, self.dropout, training=self.training))
        update = self.output(self.activation(self.intermediate(hidden)))
        return self.output_norm(dropout_add(update, hidden, self.dropout, training=self.training))


def _table(rows: int, size: int, padding_idx: int | None = None) -> nn.Embedding:
    """An embedding; on the meta device without drawing weights, which imports torch._dynamo (1.7 s)."""
    weight = torch.empty(rows, size) if torch.get_default_device().type == "meta" else None
    return nn.Embedding(rows, size, padding_idx=padding_idx, _weight=weight)


def random_bert(
    *,
    num_layers: int,
    num_heads: int,
    hidden_size: int,
    intermediate_size: int,
    max_tokens: int,
    dropout: float,
    attention_dropout: float,
) -> Bert:
    """A `Bert` with fresh weights and the built-in letter-pair tokenizer: nothing is downloaded.

    Args:
        num_layers: Encoder layers.
        num_heads: Attention heads of each layer.
        hidden_size: Width; a multiple of `num_heads`.
        intermediate_size: Width of the feed-forward block.
        max_tokens: Longest sequence, in tokens (about 2.5 a word).
        dropout: Probability of dropping a hidden unit, [0, 1).
        attention_dropout: Probability of dropping an attention weight, [0, 1).
    """
    tokenizer = letter_pair_tokenizer()
    shape = Shape(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden_size,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_size=intermediate_size,
        max_tokens=max_tokens,
    )
    bert = Bert(shape, tokenizer=tokenizer, dropout=dropout, attention_dropout=attention_dropout)
    carry_description(bert, tokenizer)
    return bert


def carry_description(bert: Bert, tokenizer: Tokenizer) -> None:
    """Lets a run carry the sizes and the tokenizer of a `Bert`."""
    description = json.dumps({"model_type": "bert", **sizes(bert)}, indent=2)
    carry_files({"config.json": description.encode(), "tokenizer.json": tokenizer.to_str().encode()})


def sizes(bert: Bert) -> dict[str, Any]:
    """What config.json says of a `Bert` in Hugging Face's layout."""
    dropout = {"hidden_dropout_prob": bert.dropout, "attention_probs_dropout_prob": bert.attention_dropout}
    return {theirs: getattr(bert.shape, ours) for ours, theirs in FIELDS.items()} | dropout
