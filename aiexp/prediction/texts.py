"""Texts as inputs, made ready by the tokenizer of the training."""

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.dataset.text.ragged import Ragged, encode
from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, text_problem
from aiexp.prediction.network import Port
from aiexp.storage.array import HeldArray


@final
class Texts(Inputs):
    """Texts.

    Args:
        tokenizer: Left as it was.
        max_tokens: Longer texts are cut, as in training.
    """

    noun = "a text"
    example = '"A TEXT"'
    is_word = True
    schema: ClassVar[Json] = {"type": "string", "minLength": 1}

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self._pad_id = encode(tokenizer, [], max_tokens).pad_id

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """(T,) int32 token ids of each text."""
        made: list[Any] = [problem(value) for value in values]
        texts = [value for value, error in zip(values, made, strict=True) if error is None]
        tokens = encode(self.tokenizer, texts, self.max_tokens)
        rows = iter(range(len(texts)))
        return [row_of(tokens, next(rows)) if error is None else error for error in made]

    def collate(self, examples: Sequence[NDArray[np.int32]]) -> dict[str, Tensor]:
        """input_ids (B, T) int64 and attention_mask (B, T) bool, True on tokens."""
        offsets = np.concatenate([[0], np.cumsum([len(e) for e in examples])]).astype(np.int64)
        tokens = Ragged(
            flat=HeldArray(np.concatenate(examples)), offsets=HeldArray(offsets), pad_id=self._pad_id
        )
        ids, mask = tokens.padded(np.arange(len(examples)), 1)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def ports(self) -> dict[str, Port]:
        """Of any number of texts and any length up to the model's."""
        sizes, limits = ("batch", "tokens"), {"tokens": (2, self.max_tokens)}
        vocabulary = self.tokenizer.get_vocab_size()
        return {
            "input_ids": Port(sizes=sizes, dtype=torch.int64, high=vocabulary, limits=limits),
            "attention_mask": Port(sizes=sizes, dtype=torch.bool, limits=limits),
        }

    def files(self) -> dict[str, bytes]:
        """The tokenizer, set to cut and to pad as here."""
        tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        tokenizer.enable_truncation(max_length=self.max_tokens)
        tokenizer.enable_padding(
            pad_id=self._pad_id, pad_token=tokenizer.id_to_token(self._pad_id) or "[PAD]"
        )
        return {"tokenizer.json": tokenizer.to_str().encode()}

    def length(self, example: NDArray[np.int32]) -> int:
        """Its tokens."""
        return len(example)


def problem(value: Any) -> DataError | None:
    """Why a value is no text to work with."""
    found = text_problem(Texts.noun, value)
    return found or (None if value.strip() else DataError("the text is empty"))


def row_of(tokens: Ragged, row: int) -> NDArray[np.int32]:
    """(T,) the tokens of one row."""
    start, stop = (int(v) for v in tokens.offsets[np.array([row, row + 1])])
    return np.asarray(tokens.flat[np.arange(start, stop)], np.int32)
