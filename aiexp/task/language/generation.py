"""Going on from a prompt, token by token.

Tensor letters: `B` batch, `T` tokens, `V` vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from aiexp.prediction.prompts import Sampling

# (1, T) int64 tokens and the state before them, to the (1, V) logits after the last and the state then.
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def generate(
    step: Step, prompt: list[int], sampling: Sampling, *, limit: int | None, stops: frozenset[int]
) -> list[int]:
    """The tokens that follow a prompt; the same whatever else is asked.

    Each token is computed once: what the network keeps of those before is handed on. Where it is full, the
    later half of the tokens is read anew.

    Args:
        step: The network.
        prompt: At least one token; of more than `limit` the last ones are read.
        sampling: How tokens are chosen.
        limit: Most tokens that the network can look back on; None: any number.
        stops: Tokens that end a text.
    """
    generator = torch.Generator().manual_seed(sampling.seed)
    tokens, made = list(prompt), 0
    state: Any = None
    held, unread = 0, tokens[-limit:] if limit else tokens
    while made < sampling.max_tokens:
        if limit is not None and held + len(unread) > limit:
            state, held, unread = None, 0, tokens[-max(limit // 2, 1) :]
        logits, state = step(torch.tensor([unread]), state)
        held += len(unread)
        chosen = choose(logits[0].float().cpu(), sampling, generator)
        if chosen in stops:
            break
        tokens.append(chosen)
        unread, made = [chosen], made + 1
    return tokens[len(prompt) :]


def choose(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """A token.

    Args:
        logits: (V,) float32.
        sampling: How.
        generator: Of the CPU; one number is drawn, unless the most probable token is taken.
    """
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities, order = torch.softmax(logits.double() / sampling.temperature, 0).sort(
        descending=True, stable=True
    )
    if sampling.top_k:
        probabilities = probabilities[: sampling.top_k]
    if sampling.top_p < 1:
        before = probabilities.cumsum(0) - probabilities
        probabilities = probabilities[before < sampling.top_p]  # the first one always
    reached = probabilities.cumsum(0)
    drawn = torch.rand((), generator=generator, dtype=torch.float64) * reached[-1]
    place = int((reached <= drawn).sum())
    return int(order[min(place, len(reached) - 1)])


def continuation(tokenizer: Tokenizer, prompt: list[int], made: list[int]) -> str:
    """The text of tokens that follow others: their own spaces are kept."""
    whole, before = tokenizer.decode(prompt + made), tokenizer.decode(prompt)
    return whole[len(before) :] if whole.startswith(before) else tokenizer.decode(made)


def special_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """Those that are no text: a beginning, an end."""
    return frozenset(
        number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    )
