"""Recurrent language models: what was read is in a vector of fixed size.

Tensor letters: `B` batch, `T` tokens, `H` hidden size, `L` layers, `V` vocabulary.
"""

from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.model.layer.recurrence import run
from aiexp.ranges import PositiveInt, Share

CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@final
class RecurrentLm(nn.Module):
    """Token vectors, recurrent layers, logits; it is made once the vocabulary is known.

    Source: LSTM, Hochreiter & Schmidhuber 1997 (doi 10.1162/neco.1997.9.8.1735), with forget gates; GRU, Cho
    et al. 2014 (arXiv 1406.1078); plain, Elman 1990 (doi 10.1207/s15516709cog1402_1); as torch.nn has them.
    Departures: each window begins with a state of zeros; over the end of a document they read on.

    Args:
        cell: "lstm", "gru", or "rnn" without gates.
        num_layers: L.
        hidden_size: H, also of the token vectors.
        dropout: Probability of dropping a unit before each layer and the last, [0, 1).
        tie_weights: Whether the vectors of the tokens are also the rows of the last layer.
    """

    tokenizer = None  # that of the data
    max_tokens = None  # any number
    is_unrolled = True

    def __init__(
        self, *, cell: Literal["lstm", "gru", "rnn"], num_layers: PositiveInt, hidden_size: PositiveInt,
        dropout: Share, tie_weights: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.hidden_size, self.dropout, self.tie_weights = hidden_size, dropout, tie_weights
        between = dropout if num_layers > 1 else 0.0
        self.layers = CELLS[cell](hidden_size, hidden_size, num_layers, batch_first=True, dropout=between)

    def set_vocabulary(self, size: int, context: int, boundary: int | None) -> None:
        """Makes what depends on the data.

        Args:
            size: V.
            context: Longest T of the training, which changes nothing here.
            boundary: The token between documents, a token like others here.
        """
        self.tokens = nn.Embedding(size, self.hidden_size)
        self.head = None if self.tie_weights else nn.Linear(self.hidden_size, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(size))
        if not self.tokens.weight.is_meta:
            nn.init.normal_(self.tokens.weight, std=0.1)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of (B, T) int64."""
        hidden, _ = run(self.layers, self._dropped(self.tokens(input_ids)))
        return self._logits(self._dropped(hidden))

    def continued(self, input_ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (B, V) of the token after the last, and the state after it.

        Args:
            input_ids: (B, T) int64.
            state: (L, B, H) after the tokens before, of an LSTM two; None: there are none.
        """
        hidden, state = run(self.layers, self.tokens(input_ids), state)
        return self._logits(hidden[:, -1]), state

    def shards(self) -> list[nn.Module]:
        """None: the weights go together."""
        return []

    def _logits(self, hidden: Tensor) -> Tensor:
        """(..., H) to (..., V)."""
        return F.linear(hidden, self.tokens.weight if self.head is None else self.head.weight, self.bias)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
