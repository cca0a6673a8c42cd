"""How models read words: as the pieces of a tokenizer, or as a number and the characters of each.

Tensor letters: B rows, T pieces, W words, C characters.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.dataset.text.ragged import pad_id

INPUT_IDS, ATTENTION_MASK, FIRST = "input_ids", "attention_mask", "first"
WORDS, CHARACTERS, WORD_MASK = "words", "characters", "word_mask"
# Of a vocabulary of words or characters: padding, and whatever is not in it.
PADDING, OTHER = 0, 1
MOST_CHARACTERS = 40  # of a word; longer ones are addresses and the like
_CHARACTERS_AT_ONCE = 4096


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class WordRows:
    """Rows of words as numbers.

    Args:
        units: All pieces or characters end to end.
        unit_counts: (N,) int64 of each word, at least 1.
        numbers: (N,) of each word in a vocabulary.
        word_counts: (B,) int64 words of each row, at least 1.
    """

    units: NDArray[Any]
    unit_counts: NDArray[np.int64]
    numbers: NDArray[Any]
    word_counts: NDArray[np.int64]


Form = tuple[tuple[int | str, ...], int]


class Encoding(Protocol):
    """How a model reads words."""

    inputs: tuple[str, ...]  # names of the tensors of a batch that the model is called with
    max_length: int  # longest row that it reads, in words or units
    counts_words: bool  # whether a row is as long as its words, else as their units

    def key(self) -> str:
        """What the numbers depend on."""
        ...

    def encode(self, words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """Units of all words end to end, the (N,) number of each word's, and a (N,) number of each word."""
        ...

    def batch(self, rows: WordRows, pad_multiple: int) -> dict[str, Tensor]:
        """The tensors of rows, `WORD_MASK` (B, W) bool among them."""
        ...

    @property
    def limits(self) -> dict[str, tuple[int, int]]:
        """Smallest and largest size of free dimensions by name."""
        ...

    def shapes(self) -> dict[str, "Form"]:
        """Sizes of the tensors in `inputs`, the free ones by name, and what int64 is below; 0 for bool."""
        ...

    def files(self) -> dict[str, bytes]:
        """What is needed to read words elsewhere: files by name."""
        ...


@final
class Pieces:
    """Words as the pieces of a tokenizer, between its special tokens; the first of a word stands for it.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 5.3. Each word is cut by itself.

    Args:
        tokenizer: Left as it was.
        max_tokens: Longest row with special tokens.
    """

    inputs: tuple[str, ...] = (INPUT_IDS, ATTENTION_MASK)
    counts_words = False

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.before, self.after = special_tokens(tokenizer)
        self.max_length = max_tokens - len(self.before) - len(self.after)
        self.pad_id = pad_id(tokenizer)
        self._prefix = " " if lacks_prefix(tokenizer) else ""
        self._known: dict[str, list[int]] = {}

    def key(self) -> str:
        """The tokenizer's content and the longest word."""
        digest = hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()
        return f"pieces {digest} {self.max_length}"

    def encode(self, words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """As of `Encoding`; words have no numbers of their own."""
        new = [word for word in dict.fromkeys(words) if word not in self._known]
        if len(self._known) + len(new) > MOST_REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(words))
        found = self.tokenizer.encode_batch_fast(
            [self._prefix + word for word in new], add_special_tokens=False
        )
        for word, encoding in zip(new, found, strict=True):
            # A word of characters that a tokenizer drops still has a tag.
            self._known[word] = encoding.ids[: self.max_length] or [self.unknown]
        rows = [self._known[word] for word in words]
        counts = np.fromiter(map(len, rows), np.int64, len(rows))
        units = np.fromiter(chain.from_iterable(rows), np.int32, int(counts.sum()))
        return units, counts, np.zeros(len(words), np.int32)

    @property
    def unknown(self) -> int:
        """The token of what no other stands for."""
        found = (self.tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>"))
        return next((token for token in found if token is not None), self.pad_id)

    def batch(self, rows: WordRows, pad_multiple: int) -> dict[str, Tensor]:
        """input_ids (B, T) int64, attention_mask (B, T) bool, first (B, W) int64, word_mask (B, W) bool."""
        num, owner = len(rows.word_counts), np.repeat(np.arange(len(rows.word_counts)), rows.word_counts)
        inner = np.bincount(owner, rows.unit_counts, minlength=num).astype(np.int64)
        lengths = inner + len(self.before) + len(self.after)
        place = np.arange(-(-int(lengths.max()) // pad_multiple) * pad_multiple)
        ids = np.full((num, len(place)), self.pad_id, np.int64)
        ids[:, : len(self.before)] = self.before
        ids[(place >= len(self.before)) & (place < (len(self.before) + inner)[:, None])] = rows.units
        for number, token in enumerate(self.after):
            ids[np.arange(num), len(self.before) + inner + number] = token
        ends = np.cumsum(rows.unit_counts) - rows.unit_counts
        first_word = np.cumsum(rows.word_counts) - rows.word_counts
        starts = ends - ends[first_word][owner] + len(self.before)  # (N,) place of each word's first piece
        made = {
            INPUT_IDS: ids, ATTENTION_MASK: place < lengths[:, None], FIRST: padded(starts, rows.word_counts),
            WORD_MASK: mask_of(rows.word_counts),
        }  # fmt: skip
        return {name: torch.from_numpy(array) for name, array in made.items()}

    @property
    def limits(self) -> dict[str, tuple[int, int]]:
        """Pieces of a row with special tokens."""
        return {"tokens": (2, self.max_tokens)}

    def shapes(self) -> dict[str, Form]:
        """Of rows of any length up to the longest."""
        sizes = ("batch", "tokens")
        return {INPUT_IDS: (sizes, self.tokenizer.get_vocab_size()), ATTENTION_MASK: (sizes, 0)}

    def files(self) -> dict[str, bytes]:
        """The tokenizer."""
        return {"tokenizer.json": self.tokenizer.to_str().encode()}


MOST_REMEMBERED = 500_000  # words


@final
class Letters:
    """Words as their numbers in a vocabulary, without regard to case, and their characters.

    Args:
        words: Of the vocabulary, the first `OTHER + 1` numbers apart.
        characters: Likewise.
        max_words: Longest row.
    """

    inputs: tuple[str, ...] = (WORDS, CHARACTERS, WORD_MASK)
    counts_words = True

    def __init__(self, words: list[str], characters: list[str], max_words: int) -> None:
        self.words, self.characters, self.max_length = words, characters, max_words
        self._number = {word: number for number, word in enumerate(words, OTHER + 1)}
        self._character = {c: number for number, c in enumerate(characters, OTHER + 1)}

    def key(self) -> str:
        """The vocabularies' content."""
        return f"letters {hashlib.sha256(self._json().encode()).hexdigest()}"

    def encode(self, words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
        """As of `Encoding`."""
        shown = [word[:MOST_CHARACTERS] for word in words]
        counts = np.fromiter(map(len, shown), np.int64, len(shown))
        known, number = self._character.get, self._number.get
        units = np.fromiter((known(c, OTHER) for word in shown for c in word), np.int32, int(counts.sum()))
        return units, counts, np.array([number(word.lower(), OTHER) for word in words], np.int32)

    def batch(self, rows: WordRows, pad_multiple: int) -> dict[str, Tensor]:
        """The numbers words (B, W) int64, characters (B, W, C) int64, word_mask (B, W) bool."""
        mask = mask_of(rows.word_counts, pad_multiple)
        words = np.zeros(mask.shape, np.int64)
        words[mask] = rows.numbers
        characters = np.zeros((*mask.shape, int(rows.unit_counts.max())), np.int64)
        characters[mask] = padded(rows.units, rows.unit_counts)
        made = {WORDS: words, CHARACTERS: characters, WORD_MASK: mask}
        return {name: torch.from_numpy(array) for name, array in made.items()}

    @property
    def limits(self) -> dict[str, tuple[int, int]]:
        """Characters of a word."""
        return {"characters": (1, MOST_CHARACTERS)}

    def shapes(self) -> dict[str, Form]:
        """Of rows of the longest length: the program of a recurrent network is for one."""
        sizes = ("batch", self.max_length)
        return {
            WORDS: (sizes, len(self.words) + OTHER + 1),
            CHARACTERS: ((*sizes, "characters"), len(self.characters) + OTHER + 1),
            WORD_MASK: (sizes, 0),
        }

    def files(self) -> dict[str, bytes]:
        """The vocabularies."""
        return {VOCABULARY: self._json().encode()}

    def _json(self) -> str:
        return json.dumps({"words": self.words, "characters": self.characters}, ensure_ascii=False)


VOCABULARY = "vocabulary.json"


def letters_of(counts: Mapping[str, int], min_count: int, max_words: int) -> Letters:
    """The vocabulary of training words.

    Args:
        counts: How often each occurs.
        min_count: Rarer words have no number: they teach what unknown words are like.
        max_words: Longest row.
    """
    lowered: dict[str, int] = {}
    for word, count in counts.items():
        lowered[word.lower()] = lowered.get(word.lower(), 0) + count
    words = sorted(word for word, count in lowered.items() if count >= min_count)
    return Letters(words, sorted(set(chain.from_iterable(counts))), max_words)


def letters_from(content: bytes, max_words: int) -> Letters:
    """What `Letters.files` has written."""
    value = json.loads(content)
    return Letters(value["words"], value["characters"], max_words)


def rows_of(encoding: Encoding, sentences: Iterable[list[str]]) -> WordRows:
    """Sentences as rows, each short enough."""
    rows = list(sentences)
    units, counts, numbers = encoding.encode([word for row in rows for word in row])
    return WordRows(
        units=units, unit_counts=counts, numbers=numbers, word_counts=np.array([len(row) for row in rows])
    )


def mask_of(counts: NDArray[np.int64], multiple: int = 1) -> NDArray[np.bool_]:
    """(B, W) bool: True on the (B,) first of each row."""
    return np.arange(-(-int(counts.max()) // multiple) * multiple) < counts[:, None]


def padded(values: NDArray[Any], counts: NDArray[np.int64], fill: int = 0) -> NDArray[np.int64]:
    """Values end to end as (B, W) int64, (B,) of them in each row."""
    mask = mask_of(counts)
    made = np.full(mask.shape, fill, np.int64)
    made[mask] = values
    return made


def special_tokens(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before a text and behind it."""
    inner = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a").ids
    place = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    return whole[:place], whole[place + len(inner) :]


def lacks_prefix(tokenizer: Tokenizer) -> bool:
    """Whether a byte-level tokenizer (RoBERTa's) tells a word by the blank before it, and adds none."""
    described: dict[str, Any] = json.loads(tokenizer.to_str())["pre_tokenizer"] or {}
    parts: list[dict[str, Any]] = described.get("pretokenizers", [described])
    return any(part.get("type") == "ByteLevel" and not part.get("add_prefix_space") for part in parts)
