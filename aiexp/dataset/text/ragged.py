"""Token ids of many texts in one flat array, and padded batches of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

_TEXTS_AT_ONCE = 8192
_PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ragged:
    """Rows of different lengths.

    Args:
        flat: (sum of lengths,) int32, the rows end to end.
        offsets: (N + 1,) int64; row i is `flat[offsets[i]:offsets[i + 1]]`.
        pad_id: Fills short rows of a batch.
    """

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad_id: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) tokens in each row."""
        return np.diff(self.offsets)

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
        # Position in `flat` of every token of the batch, row after row, without a loop over rows.
        before = np.cumsum(lengths) - lengths
        ids[mask] = self.flat[np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))]
        return ids, mask


def encode(tokenizer: Tokenizer, texts: list[str], max_tokens: int) -> Ragged:
    """Token ids of `texts`, with special tokens, cut to `max_tokens`; the tokenizer is left as it was."""
    truncation, padding = tokenizer.truncation, tokenizer.padding
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.no_padding()
    try:
        parts: list[NDArray[np.int32]] = []
        lengths: list[int] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            encodings = tokenizer.encode_batch_fast(texts[start : start + _TEXTS_AT_ONCE])
            ids = [encoding.ids for encoding in encodings]
            lengths += map(len, ids)
            parts.append(np.fromiter((token for row in ids for token in row), np.int32))
    finally:
        tokenizer.no_truncation()
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)
        if padding is not None:
            tokenizer.enable_padding(**padding)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    flat = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    return Ragged(flat=flat, offsets=offsets, pad_id=_pad_id(tokenizer))


def _pad_id(tokenizer: Tokenizer) -> int:
    """The id models expect on padding: some derive positions from it (RoBERTa), so 0 is not always right."""
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    found = (tokenizer.token_to_id(token) for token in _PAD_TOKENS)
    return next((token_id for token_id in found if token_id is not None), 0)
