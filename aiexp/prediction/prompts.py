"""Prompts as inputs: text that a language model goes on from, and how it chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from tokenizers import Tokenizer

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json, number, text_problem, whole
from aiexp.prediction.network import Port
from aiexp.prediction.seeds import LARGEST_SEED

MOST_TOKENS = 100_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are chosen.

    Args:
        temperature: What logits are divided by; 0 takes the most probable token.
        top_k: Of so many of the most probable ones; 0: of all.
        top_p: Of the fewest whose probabilities add up to this, (0, 1]; 1: of all.
        seed: Of the draws.
        max_tokens: How many are made at most.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 200


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PromptBatch:
    """What `Task.predict` takes of prompts.

    Args:
        prompts: The tokens of each.
        sampling: For all of them.
    """

    prompts: list[list[int]]
    sampling: Sampling


@final
class Prompts(Inputs):
    """Prompts of any length; of one beyond what the model can read only the end is.

    Args:
        tokenizer: Left as it was.
        max_tokens: What the network is exported for, at most.
    """

    noun = "a prompt"
    example = '"A PROMPT" --temperature 0.8'
    is_word = True
    options = ("temperature", "top_k", "top_p", "seed", "max_tokens")
    schema: ClassVar[Json] = {"type": "string", "minLength": 1}
    remote_options: ClassVar[Mapping[str, Json]] = {
        "temperature": {"type": "number", "minimum": 0, "description": "0: the most probable token"},
        "top_k": {"type": "integer", "minimum": 0, "description": "0: all tokens"},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "seed": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": MOST_TOKENS},
    }

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.sampling = Sampling()

    def configure(self, **options: Any) -> None:
        """Takes how tokens are chosen; see `Sampling`.

        Raises:
            ConfigError: as of `Inputs`, or a number that cannot be.
        """
        super().configure(**options)
        before = self.sampling
        self.sampling = Sampling(
            temperature=number("temperature", options.get("temperature", before.temperature), 0, 1000),
            top_k=whole("top_k", options.get("top_k", before.top_k), 0, 10**9),
            top_p=number("top_p", options.get("top_p", before.top_p), 1e-9, 1),
            seed=whole("seed", options.get("seed", before.seed), 0, LARGEST_SEED),
            max_tokens=whole("max_tokens", options.get("max_tokens", before.max_tokens), 1, MOST_TOKENS),
        )

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """The tokens of each prompt."""
        return [self._tokens(value) for value in values]

    def _tokens(self, value: Any) -> list[int] | DataError:
        if (found := text_problem(self.noun, value)) is not None:
            return found
        tokens: list[int] = self.tokenizer.encode(value).ids
        return tokens or DataError("the prompt is empty", fix="at least a character, such as a line break")

    def collate(self, examples: Sequence[Any]) -> PromptBatch:
        """The prompts, and how they go on."""
        return PromptBatch(prompts=list(examples), sampling=self.sampling)

    def ports(self) -> dict[str, Port]:
        """Of any number of windows and any length up to the training's."""
        port = Port(
            sizes=("batch", "tokens"), dtype=torch.int64, high=self.tokenizer.get_vocab_size(),
            limits={"tokens": (2, self.max_tokens)},
        )  # fmt: skip
        return {"input_ids": port}

    def files(self) -> dict[str, bytes]:
        """The tokenizer."""
        return {"tokenizer.json": self.tokenizer.to_str().encode()}

    def length(self, example: Any) -> int:
        """Its tokens."""
        return len(example)
