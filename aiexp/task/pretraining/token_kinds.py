"""What the tokens of a vocabulary are to masked language modelling."""

import json
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from aiexp.dataset.text.ragged import pad_id
from aiexp.errors import ConfigError

CLS, SEP, MASK = ("[CLS]", "<s>"), ("[SEP]", "</s>"), ("[MASK]", "<mask>")
_ENDS = (".", "!", "?")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKinds:
    """Numbers and kinds of tokens; V is the size of the vocabulary.

    Args:
        cls: Begins a sequence.
        sep: Ends a segment.
        mask: Stands for a hidden token.
        pad: Fills short sequences.
        is_ordinary: (V,) bool: text, which can be hidden and guessed.
        goes_on: (V,) bool: a piece that goes on with a word; None where the vocabulary does not say.
        ends_sentence: (V,) bool.
    """

    cls: int
    sep: int
    mask: int
    pad: int
    is_ordinary: NDArray[np.bool_]
    goes_on: NDArray[np.bool_] | None
    ends_sentence: NDArray[np.bool_]


def token_kinds(tokenizer: Tokenizer) -> TokenKinds:
    """The kinds of the tokens of a vocabulary.

    Raises:
        ConfigError: it has no token to hide others with, or none to begin and to end with.
    """
    found = [next((n for n in map(tokenizer.token_to_id, names) if n is not None), None)
             for names in (CLS, SEP, MASK)]  # fmt: skip
    if None in found:
        names = (CLS, SEP, MASK)[found.index(None)]
        raise ConfigError(
            f"the vocabulary has no {names[0]}, which masked language modelling needs",
            where="LanguageDataset.vocabulary",
            fix="dataset.vocabulary=wordpiece, or a model with a vocabulary of its own (model=minilm)",
        )  # fmt: skip
    cls, sep, mask = (number for number in found if number is not None)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    size = max(vocabulary.values()) + 1
    is_ordinary, ends = np.ones(size, bool), np.zeros(size, bool)
    special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    is_ordinary[[*special, cls, sep, mask]] = False
    ends[[vocabulary[token] for token in _ENDS if token in vocabulary]] = True
    described: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    prefix = described.get("continuing_subword_prefix") if described["type"] == "WordPiece" else None
    goes_on = None
    if prefix:
        goes_on = np.zeros(size, bool)
        goes_on[[n for token, n in vocabulary.items() if token.startswith(prefix) and is_ordinary[n]]] = True
    return TokenKinds(
        cls=cls, sep=sep, mask=mask, pad=pad_id(tokenizer), is_ordinary=is_ordinary, goes_on=goes_on,
        ends_sentence=ends,
    )  # fmt: skip
