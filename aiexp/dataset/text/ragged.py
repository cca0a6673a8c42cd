"""Token ids of many texts in one flat array, and padded batches of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from aiexp.dataset.text.wordpiece import WordPieces
from aiexp.storage.array import Array, HeldArray

_TEXTS_AT_ONCE = 8192
_MANY_TEXTS = 256
_READ_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 2_000_000
_PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ragged:
    """Rows of different lengths.

    Args:
        flat: (sum of lengths,) integers, the rows end to end.
        offsets: (N + 1,) int64; row i is `flat[offsets[i]:offsets[i + 1]]`.
        pad_id: Fills short rows of a batch.
    """

    flat: Array
    offsets: Array
    pad_id: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) tokens in each of (B,) rows."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def padded(
        self, rows: NDArray[np.int64], pad_multiple: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows side by side.

        Args:
            rows: (B,) row numbers.
            pad_multiple: The width T is the longest row's length, rounded up to a multiple of this.

        Returns:
            (B, T) int64 ids and (B, T) bool, True on tokens.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts  # (B,)
        width = -(-int(lengths.max()) // pad_multiple) * pad_multiple
        mask = np.arange(width) < lengths[:, None]  # (B, T)
        ids = np.full(mask.shape, self.pad_id, np.int64)
        ids[mask] = self.flat.slices(starts, lengths)
        return ids, mask


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> Ragged:
    """Token ids of `texts`, with special tokens, cut to `max_tokens`; the tokenizer is left as it was."""
    made = list(token_rows(tokenizer, in_parts(texts), max_tokens, is_many=len(texts) >= _MANY_TEXTS))
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.concatenate([np.zeros(0, np.int64), *(lengths for _, lengths in made)]), out=offsets[1:])
    flat = np.concatenate([np.zeros(0, np.int32), *(tokens for tokens, _ in made)])
    return Ragged(flat=HeldArray(flat), offsets=HeldArray(offsets), pad_id=pad_id(tokenizer))


def in_parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in parts of a few MB, however long they are: a tokenizer takes a hundred times as much."""
    part: list[str] = []
    characters = 0
    for start in range(0, len(texts), _READ_AT_ONCE):
        read = texts[start : start + _READ_AT_ONCE]
        part += read
        characters += sum(map(len, read))
        if len(part) >= _TEXTS_AT_ONCE or characters > _CHARACTERS_AT_ONCE:
            yield part
            part, characters = [], 0
    if part:
        yield part


def token_rows(
    tokenizer: Tokenizer, parts: Iterable[Sequence[str]], max_tokens: int, *, is_many: bool = True
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """For each part of texts its tokens end to end and the (B,) number of each text's.

    All cores work at a part, unless a memory of words is faster. Special tokens are added; the tokenizer is
    left as it was.

    Args:
        tokenizer: Makes the tokens.
        parts: Some thousand texts each.
        max_tokens: Longer texts are cut to this many tokens.
        is_many: Whether a memory of words pays: to begin one takes as long as some hundred texts.
    """
    truncation, padding = tokenizer.truncation, tokenizer.padding
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.no_padding()
    try:
        words = WordPieces(tokenizer) if is_many and WordPieces.suits(tokenizer) else None
        for part in parts:
            if words is not None:
                yield words.encode(part, max_tokens)
                continue
            ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(part)]
            lengths = np.fromiter(map(len, ids), np.int64, len(ids))
            yield np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths
    finally:
        tokenizer.no_truncation()
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)
        if padding is not None:
            tokenizer.enable_padding(**padding)


def pad_id(tokenizer: Tokenizer) -> int:
    """The id models expect on padding: some derive positions from it (RoBERTa), so 0 is not always right."""
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(token) for token in _PAD_TOKENS)
    return next((token_id for token_id in found if token_id is not None), 0)
