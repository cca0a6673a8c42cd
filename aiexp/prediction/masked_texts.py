"""Texts with a mask in them as inputs: a model of masked text fills it in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, whole
from aiexp.prediction.network import Port
from aiexp.prediction.texts import Texts

MOST_FILLINGS = 1000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedBatch:
    """What `Task.predict` takes of texts with masks.

    Args:
        tensors: `input_ids`, (B, T) int64; `attention_mask`, (B, T) bool; `places`, (B, K) int64, where the
            masks are, -1 behind them.
        top_k: How many fillings are wanted of each.
    """

    tensors: dict[str, Tensor]
    top_k: int


@final
class MaskedTexts(Inputs):
    """Texts in which at least one word is hidden.

    Args:
        tokenizer: Left as it was.
        mask: Number of the token that stands for what is hidden.
        max_tokens: Longer texts are cut, as in training.
        top_k: Fillings of a mask, where nothing is said.
    """

    noun = "a text with a mask"
    example = '"A TEXT WITH A [MASK]" --top-k 5'
    is_word = True
    options = ("top_k",)
    schema: ClassVar[Json] = {"type": "string", "minLength": 1}
    remote_options: ClassVar[Mapping[str, Json]] = {
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_FILLINGS,
            "description": "fillings of a mask",
        }
    }

    def __init__(self, tokenizer: Tokenizer, mask: int, max_tokens: int, top_k: int) -> None:
        self._texts, self._mask, self.top_k = Texts(tokenizer, max_tokens), mask, top_k
        self.word = tokenizer.id_to_token(mask)

    def configure(self, **options: Any) -> None:
        """Takes how many fillings are wanted.

        Raises:
            ConfigError: as of `Inputs`, or a number that cannot be.
        """
        super().configure(**options)
        self.top_k = whole("top_k", options.get("top_k", self.top_k), 1, MOST_FILLINGS)

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """(T,) int32 token ids of each text."""
        return [self._checked(made) for made in self._texts.prepare(values)]

    def _checked(self, made: Any) -> Any:
        if isinstance(made, DataError) or bool((made == self._mask).any()):
            return made
        cut = (
            f" among its first {self._texts.max_tokens} tokens" if len(made) >= self._texts.max_tokens else ""
        )
        return DataError(f"the text has no {self.word}{cut}", fix=f"write {self.word} for the word to find")

    def collate(self, examples: Sequence[Any]) -> MaskedBatch:
        """The texts side by side, and where their masks are."""
        tensors = self._texts.collate(examples)
        found = [np.flatnonzero(example == self._mask) for example in examples]
        places = np.full((len(found), max(map(len, found))), -1, np.int64)
        for row, mine in zip(places, found, strict=True):
            row[: len(mine)] = mine
        return MaskedBatch(tensors={**tensors, "places": torch.from_numpy(places)}, top_k=self.top_k)

    def ports(self) -> dict[str, Port]:
        """As of texts."""
        return self._texts.ports()

    def files(self) -> dict[str, bytes]:
        """The tokenizer, set to cut and to pad as here."""
        return self._texts.files()

    def length(self, example: Any) -> int:
        """Its tokens."""
        return len(example)
