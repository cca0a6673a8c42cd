"""What is guessed without a network: the most frequent token, and the one that follows another most often."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from aiexp.storage.array import Array

MOST_TOKENS = 10_000_000  # of the training part that are counted, the first: 1 s, 200 MB


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Guesses:
    """Guesses of a token.

    Args:
        unigram: The most frequent token of the training part.
        bigrams: (V,) int64: the token that most often follows each; `unigram` where nothing does.
    """

    unigram: int
    bigrams: Tensor


def guesses_of(row: Array, size: int) -> Guesses:
    """Guesses learned from the beginning of a row of tokens; of equal ones the first in the vocabulary.

    Args:
        row: Of the training part, at least one.
        size: V.
    """
    tokens = row.between(0, min(len(row), MOST_TOKENS)).astype(np.int64)
    unigram = int(np.bincount(tokens, minlength=size).argmax())
    pairs, counts = np.unique(tokens[:-1] * size + tokens[1:], return_counts=True)
    bigrams = np.full(size, unigram, np.int64)
    order = np.lexsort((-pairs, counts))  # rising, so that the last assignment is of the most frequent
    bigrams[pairs[order] // size] = pairs[order] % size
    return Guesses(unigram=unigram, bigrams=torch.from_numpy(bigrams))
