"""Causal language models of transformers, from the Hugging Face hub or a local folder in its layout.

Only safetensors weights are read, and code that comes with a model never runs.
"""

from collections.abc import Callable
from typing import Any, final

from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.errors import DataError
from aiexp.model.carried import carry, is_carried
from aiexp.model.language.gpt import places_within
from aiexp.model.peft.attentions import add_prefixes
from aiexp.model.text.hub import FILES, HIDDEN_DROPOUT, find_folder, load_weights, refuse_unsafe, set_dropout
from aiexp.model.text.tokenizer import load_tokenizer
from aiexp.ranges import Share

_LONGEST = 1024  # tokens, of a model that does not say


@final
class HubCausal(nn.Module):
    """Any language model that `transformers.AutoModelForCausalLM` knows, with its own vocabulary.

    Args:
        name: `owner/name` on the hub, or a local folder.
        revision: Commit, tag or branch; None is the newest. Ignored for a folder.
        dropout: Probability of dropping a hidden unit, [0, 1); None takes the model's own.

    Raises:
        DataError: not reachable and not in the cache, damaged, or unknown to `transformers`.
        SecurityError: pickled weights only, or the model needs code of its own.
    """

    is_unrolled = False

    def __init__(self, *, name: str, revision: str | None, dropout: Share | None) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModelForCausalLM  # late: takes seconds to import
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        folder = find_folder(name, revision)
        if not is_carried():
            refuse_unsafe(folder)
        carry(folder, [name for name in FILES if "safetensors" not in name])
        self.tokenizer: Tokenizer = load_tokenizer(folder)
        try:
            config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            set_dropout(config, HIDDEN_DROPOUT, dropout)
            self.model = load_weights(AutoModelForCausalLM, folder, config, is_bare=is_carried())
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataError(f"transformers cannot load the model: {error}", where=str(folder)) from error
        self.max_tokens: int = getattr(config, "max_position_embeddings", _LONGEST)
        self.prompt: Any = None  # vectors before those of the tokens; see `add_prompt`

    def set_vocabulary(self, size: int, context: int, boundary: int | None) -> None:
        """Only the token that begins a document depends on the data: what stands before it is not seen."""
        self.boundary = boundary

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of (B, T) int64."""
        if self.prompt is not None:
            vectors = self._prompted(input_ids)
            return self.model(inputs_embeds=vectors, use_cache=False).logits[:, len(self.prompt) :]
        places: Tensor | None = None
        if self.boundary is not None:
            # transformers keeps attention within what these count from 0 (masking_utils).
            places = places_within(input_ids == self.boundary)
        return self.model(input_ids=input_ids, position_ids=places, use_cache=False).logits

    def continued(self, input_ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (B, V) of the token after the last, and the model's own cache.

        Args:
            input_ids: (B, T) int64.
            state: Of the tokens before; None: there are none.
        """
        is_first = self.prompt is not None and state is None
        given = {"inputs_embeds": self._prompted(input_ids)} if is_first else {"input_ids": input_ids}
        made = self.model(**given, past_key_values=state, use_cache=True, logits_to_keep=1)
        return made.logits[:, -1], made.past_key_values

    def add_prefixes(self, make: Callable[[int, int], nn.Module]) -> None:
        """See `aiexp.model.peft.prefix.Prefixed`."""
        add_prefixes(self.model, make)

    def add_prompt(self, make: Callable[[nn.Embedding], nn.Module]) -> None:
        """See `aiexp.model.peft.prompt.Prompted`; the vectors take places of the longest text."""
        self.prompt = make(self.model.get_input_embeddings())
        self.max_tokens -= len(self.prompt)

    def _prompted(self, input_ids: Tensor) -> Tensor:
        """(B, T) int64 to (B, P + T, H): the vectors of the prompt and of the tokens."""
        return self.prompt.before(self.model.get_input_embeddings()(input_ids))

    def shards(self) -> list[nn.Module]:
        """The layers of the longest list of equal modules: the blocks of a transformer."""
        lists = [list(m) for m in self.model.modules() if isinstance(m, nn.ModuleList)]
        return max((each for each in lists if len({type(m) for m in each}) == 1), key=len, default=[])
