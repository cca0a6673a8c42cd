"""Vocabularies of running text: characters, byte pairs or word pieces learned from it, or one there is."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from aiexp.dataset.language.running_text import SEPARATOR, Part, cut_at_lines, documents_of
from aiexp.dataset.language.wordpiece import wordpiece_tokenizer
from aiexp.errors import DataError, nearest
from aiexp.rundir.file import MODEL
from aiexp.source.prepared import prepared
from aiexp.storage.arrays import ArraysWriter
from aiexp.text.terminal import say

# Part of every key: raise it when another tokenizer is made of the same text.
_VERSION = 1
CHARACTERS, BPE, WORDPIECE = "characters", "bpe", "wordpiece"
FILE = "tokenizer.json"
# Stands for characters that the training part has not; it is Unicode's own sign for that.
UNKNOWN = "\ufffd"
# Stands before a document and after the last one (as in GPT-2), where the text has documents.
END = "<|endoftext|>"
# What tokenizers of others call it, the usual ones first.
ENDS = (END, "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>", "[SEP]")
_TRAINED_ON = 1 << 16  # characters at a time
_CODE_POINTS = 0x110000


def make_tokenizer(part: Part, vocabulary: str, vocab_size: int) -> Tokenizer:
    """The tokenizer of a training part, made at the first start and found at later ones.

    Args:
        part: What it is made of.
        vocabulary: "characters", "bpe", "wordpiece", or the path of a run or folder with tokenizer.json, or
            of that file.
        vocab_size: Tokens of byte pairs and word pieces.

    Raises:
        DataError: there is no such tokenizer.
    """
    if vocabulary not in (CHARACTERS, BPE, WORDPIECE):
        return read_tokenizer(vocabulary)
    kind = {"kind": vocabulary, "vocab_size": None if vocabulary == CHARACTERS else vocab_size}
    key = {"version": _VERSION, "part": part.key(), **kind}
    made = prepared("vocabulary", key, part.text.name, partial(_prepare, part, vocabulary, vocab_size))
    text = made["tokenizer"].between(0, len(made["tokenizer"])).tobytes().decode()
    tokenizer = Tokenizer.from_str(text)
    size = tokenizer.get_vocab_size()
    if vocabulary != CHARACTERS and size < vocab_size:
        say(f"note: the text gives {size:,} tokens, fewer than vocab_size={vocab_size:,}")
    if vocabulary != CHARACTERS and size > vocab_size:
        say(f"note: its characters alone are {size:,} tokens, more than vocab_size={vocab_size:,}")
    return tokenizer


def _prepare(part: Part, vocabulary: str, vocab_size: int, writer: ArraysWriter) -> dict[str, Any]:
    if vocabulary == CHARACTERS:
        made = character_tokenizer(part)
    else:
        learn = bpe_tokenizer if vocabulary == BPE else wordpiece_tokenizer
        made = learn(part, vocab_size)
    if part.text.documents != "none" and vocabulary != WORDPIECE:  # which has [SEP], and begins otherwise
        begin_with_end(made)
    writer.array("tokenizer", np.uint8).append(np.frombuffer(made.to_str().encode(), np.uint8))
    return {}


def character_tokenizer(part: Part) -> Tokenizer:
    """A token for each character that occurs, in the order of Unicode, and `UNKNOWN` first for all others."""
    found: set[str] = set()
    for piece in part.pieces():
        found.update(piece)
    if part.text.documents != "none":
        found.discard(SEPARATOR)
    words = [UNKNOWN, *sorted(found - {UNKNOWN})]
    model = models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[], unk_token=UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Fuse()  # pyright: ignore
    return tokenizer


def bpe_tokenizer(part: Part, vocab_size: int) -> Tokenizer:
    """Byte pairs learned from the text: every text has an encoding, and decoding gives it back.

    Source: Sennrich, Haddow & Birch 2015 (arXiv 1508.07909), on bytes as Radford et al. 2019 (GPT-2).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    has_documents = part.text.documents != "none"
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[END] if has_documents else [],
        show_progress=False,
    )
    pieces: Iterator[str] = cut_at_lines(part.pieces(), _TRAINED_ON)
    if has_documents:
        pieces = (text for _, text in documents_of(pieces))
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer


def begin_with_end(tokenizer: Tokenizer) -> None:
    """Makes `END` a token, and the one that a text begins with: a prompt is the beginning of a document."""
    tokenizer.add_special_tokens([END])
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))]
    )


def end_token(tokenizer: Tokenizer) -> int:
    """The number of the token that stands between documents.

    Raises:
        DataError: there is none.
    """
    special = {
        str(token.content): number
        for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    }  # fmt: skip
    found = next((special[name] for name in ENDS if name in special), None)
    if found is None:
        raise DataError(
            "the vocabulary has no token that ends a document", where="documents",
            fix=f"documents=none, or a tokenizer with one of {' '.join(ENDS)}",
        )  # fmt: skip
    return found


def read_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a run, a folder or a file.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = Path(name).expanduser()
    places = [path, path / FILE, path / MODEL / FILE]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DataError(
            f"there is no vocabulary '{name}'.{nearest(name, (CHARACTERS, BPE, WORDPIECE))}",
            where=f"vocabulary={name}",
            fix="characters, bpe, wordpiece, or a run of a language model, or a folder with tokenizer.json",
        )  # fmt: skip
    try:
        tokenizer = Tokenizer.from_file(str(found))
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise DataError(f"the tokenizer cannot be read: {error}", where=str(found)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@final
class Encoder:
    """Text to token numbers: a table for characters, else the library on all cores.

    Args:
        tokenizer: Left as it was.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        described: dict[str, Any] = json.loads(tokenizer.to_str())
        model = described["model"]
        unknown: str | None = model.get("unk_token")
        self.unknown: int | None = None if unknown is None else tokenizer.token_to_id(unknown)
        self._table: NDArray[np.int32] | None = None
        vocabulary: Any = model.get("vocab")
        is_plain = not described["normalizer"] and not described["pre_tokenizer"]
        if is_plain and model["type"] == "BPE" and not model["merges"] and self.unknown is not None:
            self._table = np.full(_CODE_POINTS, self.unknown, np.int32)
            for word, number in vocabulary.items():
                self._table[ord(word)] = number

    def encode(self, pieces: list[str]) -> Iterator[NDArray[np.int32]]:
        """(N,) int32 token numbers of each piece, without special tokens."""
        if self._table is not None:
            for piece in pieces:
                codes = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), np.uint32)
                yield self._table[codes]
            return
        for encoding in self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False):
            yield np.array(encoding.ids, np.int32)
