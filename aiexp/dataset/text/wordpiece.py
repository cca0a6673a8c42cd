"""Token numbers of plain texts by a memory of words: what BERT's tokenizer gives, several times faster.

BERT's tokenizers (Devlin et al. 2019, arXiv:1810.04805) lower, split at white space and punctuation, and cut
each word into pieces, whatever stands beside it. So the pieces of a word need to be asked for once. Only
texts of printable ASCII are taken, for which "white space and punctuation" has no corner cases, and only for
tokenizers of exactly this kind; all others are the library's. `scripts/bench/text_files.py` measures a start
with it beside one of `datasets`, which has the library's.
"""

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from aiexp.storage.array import positions

# In words of ASCII: letters and digits, or one punctuation mark.
_WORD = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_WHITE = str.maketrans("\t\n\r", "   ")
_MOST_WORDS = 200_000  # kept in memory, about 30 MB; then it begins anew


@final
class WordPieces:
    """The token numbers of plain texts.

    Args:
        tokenizer: One that `suits`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        described: dict[str, Any] = json.loads(tokenizer.to_str())
        self._lowers: bool = described["normalizer"]["lowercase"]
        marks = "|".join(re.escape(token["content"].lower()) for token in described["added_tokens"])
        self._mark = re.compile(marks or "(?!)")
        self._forget()
        inner = tokenizer.encode("a", add_special_tokens=False).ids
        whole = tokenizer.encode("a").ids
        place = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
        self._before, self._after = whole[:place], whole[place + len(inner) :]

    @staticmethod
    def suits(tokenizer: Tokenizer) -> bool:
        """Whether a tokenizer is BERT's: its normalizer, its words, its pieces."""
        described: dict[str, Any] = json.loads(tokenizer.to_str())
        normalizer: dict[str, Any] = described["normalizer"] or {}
        return (
            normalizer.get("type") == "BertNormalizer"
            and (described["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
            and described["model"].get("type") == "WordPiece"
            and (described["post_processor"] or {}).get("type")
            in (None, "TemplateProcessing", "BertProcessing")
        )

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The token numbers of all texts end to end, with special tokens, and the (B,) number of each text's.

        Args:
            texts: (B,) any.
            max_tokens: Longer texts are cut to this many tokens; at least the special ones and one more.
        """
        words = [self._words(text) for text in texts]
        is_plain = np.array([row is not None for row in words], bool)
        others = self._tokenizer.encode_batch_fast(
            [t for t, row in zip(texts, words, strict=True) if row is None]
        )
        tokens, starts, lengths = self._plain([row for row in words if row is not None])
        lengths = np.minimum(lengths, max_tokens - len(self._before) - len(self._after))
        sizes = np.empty(len(texts), np.int64)
        sizes[is_plain] = lengths + len(self._before) + len(self._after)
        sizes[~is_plain] = [len(encoding.ids) for encoding in others]
        ends = np.cumsum(sizes)
        made = np.empty(int(sizes.sum()), np.int32)
        first = (ends - sizes)[is_plain]
        for place, token in enumerate(self._before):
            made[first + place] = token
        made[positions(first + len(self._before), lengths)] = tokens[positions(starts, lengths)]
        for place, token in enumerate(self._after):
            made[ends[is_plain] - len(self._after) + place] = token
        for end, encoding in zip(ends[~is_plain].tolist(), others, strict=True):
            made[end - len(encoding.ids) : end] = encoding.ids
        return made, sizes

    def _plain(self, rows: list[list[str]]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """The pieces of all words end to end; where those of each text begin, and how many they are."""
        if len(self._numbers) > _MOST_WORDS:
            self._forget()
        counts = np.fromiter(map(len, rows), np.int64, len(rows))
        numbers = np.fromiter(map(self._numbers.__getitem__, chain.from_iterable(rows)), np.int64)
        self._ask_for_new()
        pieces = self._num_pieces[numbers]
        before = np.r_[0, np.cumsum(pieces)]
        last = np.cumsum(counts)
        starts = before[last - counts]
        return self._pieces[positions(self._starts[numbers], pieces)], starts, before[last] - starts

    def _words(self, text: str) -> list[str] | None:
        """The words of a plain text; None for any other."""
        plain = text if text.isprintable() else text.translate(_WHITE)
        lowered = plain.lower()
        if not plain.isascii() or not plain.isprintable() or self._mark.search(lowered):
            return None
        return _WORD.findall(lowered if self._lowers else plain)

    def _ask_for_new(self) -> None:
        """Has the pieces of words that were met for the first time, from the tokenizer, on all cores."""
        found = self._tokenizer.encode_batch_fast(self._numbers.new, add_special_tokens=False)
        self._numbers.new = []
        counts = np.array([len(encoding.ids) for encoding in found], np.int64)
        pieces = np.fromiter(chain.from_iterable(encoding.ids for encoding in found), np.int32)
        self._starts = np.r_[self._starts, len(self._pieces) + np.cumsum(counts) - counts]
        self._num_pieces = np.r_[self._num_pieces, counts]
        self._pieces = np.r_[self._pieces, pieces]

    def _forget(self) -> None:
        self._numbers = _Numbers()
        self._pieces = np.zeros(0, np.int32)
        self._starts = self._num_pieces = np.zeros(0, np.int64)


class _Numbers(dict[str, int]):
    """Numbers words in the order in which they are met."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        self.new.append(word)
        return number
