"""Which vocabulary weights were trained for, kept with them: under another one they would be read wrongly."""

import hashlib
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.errors import ConfigError

VOCABULARY = "vocabulary"


def keep_vocabulary(model: nn.Module, tokenizer: Tokenizer) -> None:
    """Lets the weights of a model remember a vocabulary, and refuse weights of another one."""
    model.register_buffer(VOCABULARY, digest_of(tokenizer))
    model.register_load_state_dict_pre_hook(check_vocabulary)


def digest_of(tokenizer: Tokenizer) -> Tensor:
    """(32,) uint8: sha256 of a vocabulary."""
    text = repr(sorted(tokenizer.get_vocab().items()))
    return torch.tensor(list(hashlib.sha256(text.encode()).digest()), dtype=torch.uint8)


def check_vocabulary(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Raises `ConfigError` for weights that were trained on other tokens: they would mean something else."""
    own, other = getattr(model, VOCABULARY), state.get(prefix + VOCABULARY)
    if isinstance(other, Tensor) and not torch.equal(other.cpu(), own.cpu()):
        raise ConfigError(
            "the weights are of another vocabulary: the same numbers stand for other tokens",
            where=VOCABULARY, fix="dataset.vocabulary=RUN, the run that they are of",
        )  # fmt: skip
