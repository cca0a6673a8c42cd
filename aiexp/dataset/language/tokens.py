"""The tokens of a part of running text, made once, kept in the data folder, read by stretches."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
from tokenizers import Tokenizer

from aiexp.dataset.language.running_text import Part, RunningText, cut_at_lines, documents_of
from aiexp.dataset.language.vocabulary import Encoder, end_token
from aiexp.errors import DataError
from aiexp.source.prepared import prepared
from aiexp.storage.array import Array
from aiexp.storage.arrays import ArraysWriter
from aiexp.text.terminal import say

# Part of every key: raise it when other tokens are made of the same text.
_VERSION = 2
_PIECE = 1 << 15  # characters that one core encodes at a time
_CHARACTERS_AT_ONCE = 64 * _PIECE
_SECONDS_BETWEEN_LINES = 10.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The tokens of a part.

    Args:
        row: (N,) unsigned integers, or int32 of large vocabularies: all of them, in order.
        characters: Of the text they stand for.
        num_bytes: Of that text in UTF-8.
        unknown: Tokens that stand for what the vocabulary has not.
        ends: (D + 1,) int64 places of the tokens before the D documents and after the last; else (0,).
    """

    row: Array
    characters: int
    num_bytes: int
    unknown: int
    ends: Array


def count_characters(text: RunningText) -> int:
    """How long a text is; counted once.

    Raises:
        DataError: it is empty, or no text.
    """
    key = {"version": _VERSION, "text": text.key()}
    count: int = prepared("characters", key, text.name, partial(_count, text)).facts["characters"]
    if not count:
        raise DataError("the text is empty", where=text.name, fix="a file with text in it")
    return count


def _count(text: RunningText, writer: ArraysWriter) -> dict[str, Any]:
    return {"characters": sum(map(len, text.pieces()))}


def tokens_of(part: Part, tokenizer: Tokenizer) -> Tokens:
    """The tokens of a part, made by all cores at the first start and found at later ones.

    Args:
        part: Of a text.
        tokenizer: Left as it was.
    """
    made_by = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    key = {"version": _VERSION, "kind": "running", "part": part.key(), "tokenizer": made_by}
    arrays = prepared("tokens", key, part.text.name, partial(_tokenize, part, tokenizer))
    facts = arrays.facts
    return Tokens(
        row=arrays["tokens"], characters=facts["characters"], num_bytes=facts["bytes"],
        unknown=facts["unknown"], ends=arrays["ends"],
    )  # fmt: skip


def _tokenize(part: Part, tokenizer: Tokenizer, writer: ArraysWriter) -> dict[str, Any]:
    size = tokenizer.get_vocab_size()
    dtype = np.min_scalar_type(size - 1) if size <= 1 << 16 else np.dtype(np.int32)
    row, ends, encoder = writer.array("tokens", dtype), writer.array("ends", np.int64), Encoder(tokenizer)
    end = None if part.text.documents == "none" else np.array([end_token(tokenizer)], dtype)
    pieces = cut_at_lines(part.pieces(), _PIECE)
    parts = ((False, piece) for piece in pieces) if end is None else documents_of(pieces)
    characters = num_bytes = unknown = length = 0
    due = time.monotonic() + _SECONDS_BETWEEN_LINES
    for some in batched(parts):
        texts = [text for _, text in some]
        made: list[Any] = []
        places: list[int] = []
        for (begins, _), numbers in zip(some, encoder.encode(texts), strict=True):
            if begins and end is not None:
                places.append(length)
                made.append(end)
            made.append(numbers.astype(dtype))
            length += len(numbers) + begins
            unknown += int((numbers == encoder.unknown).sum()) if encoder.unknown is not None else 0
        row.append(np.concatenate(made))
        ends.append(np.array(places, np.int64))
        characters += sum(map(len, texts))
        num_bytes += sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        if time.monotonic() > due:
            say(f"tokenized {characters:,} of {len(part):,} characters of {part.text.name}")
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
    if end is not None and length:
        row.append(end)
        ends.append(np.array([length], np.int64))
    return {"characters": characters, "bytes": num_bytes, "unknown": unknown}


def batched(parts: Iterable[tuple[bool, str]]) -> Iterator[list[tuple[bool, str]]]:
    """Lists of parts that have enough characters for all cores together."""
    some: list[tuple[bool, str]] = []
    left = _CHARACTERS_AT_ONCE
    for part in parts:
        some.append(part)
        left -= len(part[1])
        if left <= 0:
            yield some
            some, left = [], _CHARACTERS_AT_ONCE
    if some:
        yield some
