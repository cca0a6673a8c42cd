"""What BERT guesses masked tokens with.

Tensor letters: `B` batch, `T` tokens, `N` places, `H` hidden size, `V` vocabulary.
"""

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@final
class MaskedHead(nn.Module):
    """A dense layer, gelu and a norm; then the product with the vectors of all tokens, and a bias of each.

    Source: arXiv 1810.04805, section 3.1, and its published code: the last layer's weights are the word
    embedding's.
    Departures: none.

    Args:
        hidden_size: H.
        vocab_size: V.
        layer_norm_eps: Added to the variance in layer normalisation.
        initializer_range: Standard deviation of the drawn weights.
    """

    def __init__(
        self, hidden_size: int, vocab_size: int, *, layer_norm_eps: float, initializer_range: float
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        if not self.bias.is_meta:
            nn.init.normal_(self.dense.weight, std=initializer_range)
            nn.init.zeros_(self.dense.bias)

    def forward(self, hidden: Tensor, word_vectors: Tensor) -> Tensor:
        """Logits (..., V) of (..., H) hidden states, by the (V, H) vectors of the tokens."""
        return F.linear(self.norm(F.gelu(self.dense(hidden))), word_vectors, self.bias)


@final
class MaskedLogits(nn.Module):
    """An encoder with its head as one network: logits at every place.

    Args:
        encoder: A `Bert`.
        head: Of its sizes.
    """

    def __init__(self, encoder: Any, head: MaskedHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) int64 and (B, T) bool to (B, T, V)."""
        return self.head(self.encoder(input_ids, attention_mask), self.encoder.embedding.word.weight)
