"""Sentences as inputs: texts, which are cut into words here, or lists of words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from aiexp.dataset.tagging.encoding import Encoding, rows_of
from aiexp.dataset.tagging.stored import cut_rows
from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, refused, text_problem
from aiexp.prediction.network import Port

MOST_WORDS = 10_000  # of one input
# Letters and digits, also around a mark as in "don't", "half-way" and "3.5"; every other sign by itself.
_WORD = re.compile(r"\w+(?:['\u2019.,\-]\w+)*|[^\w\s]")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What `Task.predict` takes of sentences.

    Args:
        words: Of each sentence.
        tensors: Of all their rows; a long sentence is several.
        owners: (B,) the sentence of each row, in order.
    """

    words: list[list[str]]
    tensors: Mapping[str, Tensor]
    owners: list[int]

    def to(self, device: torch.device) -> "Words":
        """With the tensors on a device."""
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return Words(words=self.words, tensors=tensors, owners=self.owners)


@final
class Sentences(Inputs):
    """Sentences of any length, as a text or as a list of words.

    Args:
        encoding: Of the model.
        described: What else belongs to an exported network, such as the names of the tags: files by name.
    """

    noun = "a text"
    example = '"A TEXT"'
    is_word = True
    schema: ClassVar[Json] = {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ]
    }

    def __init__(self, encoding: Encoding, described: dict[str, bytes]) -> None:
        self._encoding, self._described = encoding, described

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """The words of each sentence."""
        return [words_of(value) for value in values]

    def collate(self, examples: Sequence[list[str]]) -> Words:
        """The words, and what the model reads of them."""
        rows, owners = list[list[str]](), list[int]()
        for owner, words in enumerate(examples):
            _, counts, _ = self._encoding.encode(words)
            lengths = np.ones_like(counts) if self._encoding.counts_words else counts
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            cuts, _ = cut_rows(before, np.array([len(words)]), self._encoding.max_length)
            rows += [words[start:stop] for start, stop in pairwise(cuts.tolist())]
            owners += [owner] * (len(cuts) - 1)
        tensors = self._encoding.batch(rows_of(self._encoding, rows), 1)
        return Words(words=list(examples), tensors=tensors, owners=owners)

    def ports(self) -> dict[str, Port]:
        """What the model is called with, of any number of rows.

        A reader of pieces takes any number of them; one of words as many as fit in a row, since the program
        of a recurrent network is for one number.
        """
        limits = self._encoding.limits
        return {
            name: Port(sizes=sizes, dtype=torch.int64 if high else torch.bool, high=high, limits=limits)
            for name, (sizes, high) in self._encoding.shapes().items()
        }

    def files(self) -> dict[str, bytes]:
        """The vocabulary, and what describes the answers."""
        return self._encoding.files() | self._described

    def length(self, example: Any) -> int:
        """Its words."""
        return len(example)


def words_of(value: Any) -> list[str] | DataError:
    """The words of a text, or those of a list; why there are none."""
    if isinstance(value, str):
        if (found := text_problem(Sentences.noun, value)) is not None:
            return found
        made = cut_words(value)
    elif isinstance(value, list | tuple):
        made = list[str]()
        for word in value:
            if (found := text_problem("a word", word)) is not None:
                return found
            made.append(word.strip())
        if not all(made):
            return DataError("a word is empty")
    else:
        return refused("a text or a list of words", value)
    if not made:
        return DataError("the text is empty")
    if len(made) > MOST_WORDS:
        return DataError(
            f"{len(made):,} words are too many", fix=f"at most {MOST_WORDS:,}, a sentence at a time"
        )
    return made


def cut_words(text: str) -> list[str]:
    """The words of a text, signs apart: "Don't go." is `Don't`, `go`, `.`."""
    return _WORD.findall(text)
