"""Tokenizers: read from a model's folder, or built in code for models that need no download."""

import json
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from aiexp.dataset.language.wordpiece import SPECIAL_TOKENS, bert_tokenizer, with_special_tokens
from aiexp.errors import ConfigError, DataError


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of `folder`, from tokenizer.json or vocab.txt, without truncation and padding.

    Raises:
        DataError: neither file is there, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        else:
            path = folder / "vocab.txt"
            tokenizer = _word_piece(path, _lowercase(folder))
    except FileNotFoundError:
        raise DataError(
            "no tokenizer in the model's folder", where=str(folder), fix="add tokenizer.json or vocab.txt"
        ) from None
    except Exception as error:  # the tokenizers library raises bare Exception for a damaged file
        raise DataError(f"the tokenizer cannot be read: {error}", where=str(path)) from error
    # The data set decides on lengths; a file may carry the ones its model was trained with.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def letter_pair_tokenizer() -> Tokenizer:
    """Lower-case byte-level tokenizer with 963 tokens, built in code: bytes, pairs of letters, word starts.

    Byte-pair encoding whose merges are listed, not learned: a space with a letter, then two letters.
    Any text in any script has an encoding (about 2.5 tokens a word in English); nothing is downloaded.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("\u0120", letter) for letter in ascii_lowercase]  # U+0120 is how byte-level writes a space
    merges += [(a, b) for a, b in product(ascii_lowercase, repeat=2)]
    words = SPECIAL_TOKENS + alphabet + [a + b for a, b in merges]
    model = models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])  # pyright: ignore
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    return with_special_tokens(tokenizer)


def _word_piece(vocab: Path, lowercase: bool) -> Tokenizer:
    """BERT's own tokenizer from a list of word pieces, one a line."""
    pieces = vocab.read_text(encoding="utf-8").splitlines()
    return bert_tokenizer({piece: i for i, piece in enumerate(pieces)}, lowercase=lowercase)


def _lowercase(folder: Path) -> bool:
    """Whether tokenizer_config.json asks for lower case; BERT's default is yes."""
    path = folder / "tokenizer_config.json"
    return bool(json.loads(path.read_text()).get("do_lower_case", True)) if path.is_file() else True


def check_has_tokenizer(model: Any) -> None:
    """Raises `ConfigError` for an encoder whose vocabulary is still to be learned, by pretraining."""
    if model.tokenizer is None and hasattr(model, "set_tokenizer"):
        raise ConfigError(
            "the model has no vocabulary: it comes with pretraining", where="vocabulary",
            fix="model.vocabulary=RUN, or model.path=RUN of task=mlm_pretrain with its weights",
        )  # fmt: skip
