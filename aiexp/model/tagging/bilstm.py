"""A recurrent reader of sentences, from both sides, that knows words by number and by their letters.

Tensor letters: `B` rows, `W` words, `C` characters, `E` size of a word's vector, `H` hidden size.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.model.layer.recurrence import run
from aiexp.ranges import PositiveInt, Share

_LOWEST = -1e4  # below whatever a filter finds


@final
class BiLstm(nn.Module):
    """Vectors of words and of their characters, then LSTMs in both directions: one vector for each word.

    It is made whole once the vocabulary is known.

    Source: Ma & Hovy 2016 (arXiv 1603.01354), sections 2.1 and 2.2: filters over the characters of a word and
    their largest values, beside a vector of its own. Lample et al. 2016 (arXiv 1603.01360), section 4.1, read
    them by another LSTM.
    Departures: vectors of words are drawn, not pretrained; words are looked up in lower case, and rare ones
    share a vector, so that it learns what unknown words are like; dropout on words, between and after layers.

    Args:
        num_layers: Layers of LSTMs.
        hidden_size: H, of each direction.
        word_size: Of the vector of a word.
        character_size: Of the vector of a character.
        num_filters: Over characters.
        filter_width: Characters that each sees at once, an odd number.
        dropout: Probability of dropping a unit, [0, 1).
        min_count: Words that occur less often in training share a vector.
    """

    tokenizer = None  # it reads words
    max_tokens = None  # any number
    pooler = None

    def __init__(
        self, *, num_layers: PositiveInt, hidden_size: PositiveInt, word_size: PositiveInt,
        character_size: PositiveInt, num_filters: PositiveInt, filter_width: PositiveInt, dropout: Share,
        min_count: PositiveInt,
    ) -> None:  # fmt: skip
        super().__init__()
        self.hidden_size, self.min_count, self.dropout = 2 * hidden_size, min_count, dropout
        self.embedding = WordEmbedding(word_size, character_size, num_filters, filter_width)
        sizes = [word_size + num_filters] + [2 * hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(BothWays(size, hidden_size) for size in sizes)

    def set_vocabulary(self, num_words: int, num_characters: int) -> None:
        """Makes what depends on the data.

        Args:
            num_words: Of the vocabulary, padding and unknown words among them.
            num_characters: Likewise.
        """
        self.embedding.set_vocabulary(num_words, num_characters)

    def forward(self, words: Tensor, characters: Tensor, word_mask: Tensor) -> Tensor:
        """Vectors (B, W, 2H) of words.

        Args:
            words: (B, W) int64.
            characters: (B, W, C) int64, 0 on padding.
            word_mask: (B, W) bool, True on words, which come first.
        """
        hidden = self._dropped(self.embedding(words, characters))
        backward = reversal(word_mask)
        for layer in self.layers:
            hidden = self._dropped(layer(hidden, backward))
        return hidden

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters by depth: the vectors of words and characters, each layer."""
        return [list(module.parameters()) for module in (self.embedding, *self.layers)]

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


@final
class WordEmbedding(nn.Module):
    """A vector for each word: its own, and what filters find in its characters."""

    def __init__(self, word_size: int, character_size: int, num_filters: int, filter_width: int) -> None:
        super().__init__()
        self.word_size, self.character_size = word_size, character_size
        self.filters = nn.Conv1d(character_size, num_filters, filter_width, padding=filter_width // 2)

    def set_vocabulary(self, num_words: int, num_characters: int) -> None:
        """Makes what depends on the data."""
        self.words = nn.Embedding(num_words, self.word_size)
        self.characters = nn.Embedding(num_characters, self.character_size)
        if not self.words.weight.is_meta:
            for table in (self.words, self.characters):
                bound = (3 / table.embedding_dim) ** 0.5  # as Ma & Hovy 2016, section 3.1
                nn.init.uniform_(table.weight, -bound, bound)

    def forward(self, words: Tensor, characters: Tensor) -> Tensor:
        """(B, W) and (B, W, C) int64 to (B, W, E)."""
        is_there = characters > 0
        shown = self.characters(characters) * is_there[..., None]  # (B, W, C, size)
        found = self.filters(shown.flatten(0, 1).transpose(1, 2))  # (B W, filters, C)
        # Only at the word's own places, however long others of the batch are.
        found = found.masked_fill(~is_there.flatten(0, 1)[:, None], _LOWEST).amax(2)
        return torch.cat([self.words(words), found.unflatten(0, words.shape)], 2)


@final
class BothWays(nn.Module):
    """Two LSTMs, one from each side; padding behind the words changes nothing.

    Rows are turned round instead of being packed: lengths stay on the device, and ONNX knows the operations.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x: Tensor, backward: Tensor) -> Tensor:
        """(B, W, E) to (B, W, 2H); `backward` is `reversal` of the words."""
        ahead, _ = run(self.forwards, x)
        back, _ = run(self.backwards, turned(x, backward))
        return torch.cat([ahead, turned(back, backward)], 2)


def reversal(mask: Tensor) -> Tensor:
    """(B, W) int64: the places of a row with its words turned round, padding where it is."""
    lengths = mask.sum(1, keepdim=True)
    places = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(places < lengths, lengths - 1 - places, places)


def turned(x: Tensor, places: Tensor) -> Tensor:
    """(B, W, E) at the (B, W) places."""
    return x.gather(1, places[:, :, None].expand_as(x))
