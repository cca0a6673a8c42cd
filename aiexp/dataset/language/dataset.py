"""A data set of windows of running text, for language models."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import uniforms
from aiexp.dataset.language.running_text import Part
from aiexp.dataset.language.tokens import Tokens, tokens_of
from aiexp.dataset.language.vocabulary import make_tokenizer
from aiexp.dataset.loader import ordered_batches
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.errors import DataError
from aiexp.ranges import PositiveInt, Range
from aiexp.storage.array import Array
from aiexp.text.terminal import say

# Tensor letters: B windows, T tokens of a window.


class Windows(Batching):
    """Arguments that data sets of running text share; an example is a window.

    Args:
        context: T, tokens that a prediction can be made from at most.
        vocabulary: "characters", "bpe", "wordpiece", or where a tokenizer is; see `make_tokenizer`.
        vocab_size: Tokens that vocabulary "bpe" learns at most (the 256 bytes and pairs), or "wordpiece".
    """

    context: PositiveInt
    vocabulary: str
    vocab_size: Annotated[int, Range(">= 257")]


@final
class LanguageDataset:
    """Windows of a running text, which may consist of documents.

    A batch is a dict (B windows, T tokens):
        input_ids: (B, T) int64.
        targets: (B, T) int64, the token after each.

    Training windows begin at random places, so an epoch is so many windows as cover the part once. An
    evaluation goes through every token of its part once: windows lie side by side, the last may be shorter.
    Documents lie one after the other, without padding, as many as a window has room for; before each and
    after the last stands the token that ends one (`end_token`): where one begins and ends is predicted, too.

    Args:
        parts: Of "train" and, where they exist, "eval" and "test".
        windows: See `Windows`.
    """

    units = MappingProxyType(dict.fromkeys(SPLITS, "windows"))

    def __init__(self, *, parts: Mapping[str, Part], **windows: Unpack[Windows]) -> None:
        self._parts = dict(parts)
        self.batch_size, self.eval_batch_size = windows["batch_size"], windows["eval_batch_size"]
        self.context = windows["context"]
        self.has_documents = self._parts["train"].text.documents != "none"
        self._vocabulary, self._vocab_size = windows["vocabulary"], windows["vocab_size"]
        self._seed = windows["seed"]
        self._tokens: dict[str, Tokens] = {}

    def make_tokenizer(self) -> Tokenizer:
        """The tokenizer that the data set is set to, made of its training part."""
        return make_tokenizer(self._parts["train"], self._vocabulary, self._vocab_size)

    def tokenize(self, tokenizer: Tokenizer) -> None:
        """Encodes every split; batches exist only afterwards.

        Raises:
            DataError: a part is shorter than what is asked of it.
        """
        self._tokens = {split: tokens_of(part, tokenizer) for split, part in self._parts.items() if len(part)}
        for split, tokens in self._tokens.items():
            count, needed = len(tokens.row), self.context + 1 if split == "train" else 2
            if count < needed:
                raise DataError(
                    f"the {split} part of the text has {count:,} tokens, and a window takes {needed:,}",
                    where=self._parts[split].text.name, fix="more text, or a smaller context",
                )  # fmt: skip
            longer = int((np.diff(tokens.ends.between(0, len(tokens.ends))) > self.context).sum())
            if longer:
                many = f"{longer:,} of {len(tokens.ends) - 1:,} documents of the {split} part"
                say(f"note: {many} have more than {self.context} tokens, so windows cut them")
            if tokens.unknown:
                say(f"note: {tokens.unknown:,} tokens of the {split} part are not in the vocabulary")

    def num_examples(self, split: str) -> int:
        """Windows in `split`, by its characters as long as nothing is tokenized; 0 when it does not exist."""
        check_split(split)
        if split in self._tokens:
            return -(-(len(self._tokens[split].row) - 1) // self.context)
        return -(-len(self._parts[split]) // self.context) if split in self._parts else 0

    def batches_per_epoch(self) -> int:
        """Training batches whose windows together are as long as the training part."""
        return -(-self.num_examples("train") // self.batch_size)

    def characters_per_token(self, split: str) -> float:
        """Length of the text of `split` in characters by its length in tokens."""
        tokens = self._tokenized(split)
        return tokens.characters / len(tokens.row)

    def bytes_per_token(self, split: str) -> float:
        """The same in bytes of UTF-8."""
        tokens = self._tokenized(split)
        return tokens.num_bytes / len(tokens.row)

    def row(self, split: str) -> Array:
        """(N,) the token numbers of `split`, in order.

        Raises:
            DataError: `tokenize` was not called.
        """
        return self._tokenized(split).row

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`.

        Raises:
            DataError: `tokenize` was not called.
        """
        make = _TrainBatches(self._tokenized("train").row, self.batch_size, self.context, self._seed)
        return ordered_batches(make, start=start, stop=None, num_workers=0, name="training")

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """Every token of `split` but the first is a target once.

        Raises:
            DataError: `tokenize` was not called.
        """
        row, length, size = self._tokenized(split).row, self.context, self.eval_batch_size
        whole, rest = divmod(len(row) - 1, length)
        for start in range(0, whole, size):
            places = np.arange(start, min(start + size, whole)) * length
            yield windows(row, places, length)
        if rest:
            yield windows(row, np.array([whole * length]), rest)

    def fingerprint(self) -> str:
        """sha256 (hex) over the text and its parts."""
        keys = {split: part.key() for split, part in self._parts.items()}
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()

    def _tokenized(self, split: str) -> Tokens:
        check_split(split)
        if split not in self._tokens:
            fix = "call dataset.tokenize(tokenizer)"
            raise DataError(f"the data set has no tokens of split '{split}'", fix=fix)
        return self._tokens[split]


class _TrainBatches:
    """Training batch `k` as a pure function of `k`."""

    def __init__(self, row: Array, batch_size: int, context: int, seed: int) -> None:
        self._row, self._batch_size, self._context, self._seed = row, batch_size, context, seed

    def __call__(self, number: int) -> dict[str, Tensor]:
        places = uniforms(self._batch_size, self._seed, number) * (len(self._row) - self._context)
        return windows(self._row, places.astype(np.int64), self._context)


def windows(row: Array, places: NDArray[Any], length: int) -> dict[str, Tensor]:
    """A batch of windows.

    Args:
        row: (N,) tokens.
        places: (B,) int64, where each begins.
        length: T.
    """
    read = row.slices(places, np.full(len(places), length + 1)).astype(np.int64)
    tokens = torch.from_numpy(read).view(len(places), length + 1)
    return {"input_ids": tokens[:, :-1].contiguous(), "targets": tokens[:, 1:].contiguous()}
