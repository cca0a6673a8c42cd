"""Texts explained: what each word adds to an output, and which words a transformer looks at."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.prediction.texts import Texts
from aiexp.use.explaining.attention import attention_maps, rollout
from aiexp.use.explaining.explainer import Asked, Explainer
from aiexp.use.explaining.explanation import Part, strongest
from aiexp.use.explaining.gradients import integrated_gradients
from aiexp.use.explaining.words import Tokenized, tokenized

# Tensor letters: B batch, T tokens, H hidden size.


@final
class TextExplainer(Explainer):
    """Explains texts by their tokens.

    Args:
        task: Holds the model.
        inputs: Of the task.
    """

    methods: ClassVar[tuple[str, ...]] = ("integrated_gradients", "attention")

    def __init__(self, task: nn.Module, inputs: Texts) -> None:
        self.task = task
        # As an exported network takes it along: set to cut and to pad as in training.
        self.tokenizer = Tokenizer.from_str(inputs.files()["tokenizer.json"].decode())
        self.text: Tokenized

    def notes(self, value: Any) -> list[str]:
        """That the text was cut; called first of all."""
        self.text = tokenized(self.tokenizer, value)
        if not self.text.cut:
            return []
        return [
            f"The text is cut after {len(self.text.ids)} tokens, as in training: "
            f"its last {self.text.cut:,} characters were not read."
        ]

    def integrated_gradients(self, asked: Asked) -> Part:
        """Over the vectors of the words; the baseline has padding in place of each token of the text."""
        ids = asked.batch["input_ids"]  # (1, T)
        layer = embedding_of(self.task, ids, lambda: asked.outputs(asked.batch))
        padding: Any = self.tokenizer.padding
        kept = torch.tensor(self.text.special, device=ids.device)
        with torch.no_grad():
            example = layer(ids).float()  # (1, T, H)
            baseline = layer(torch.where(kept, ids, padding["pad_id"])).float()

        def function(vectors: Tensor) -> Tensor:
            batch = {name: part.expand(len(vectors), *part.shape[1:]) for name, part in asked.batch.items()}
            with replaced(layer, vectors):
                return asked.outputs(batch)

        attribution = integrated_gradients(function, example, baseline)
        words = self.text.words(attribution.values.sum(-1).tolist(), with_special=False)
        return Part(
            method="integrated_gradients",
            title="Integrated gradients",
            text=f"What each word adds to the output of {asked.name}, seen from a text of padding.",
            words=words,
            strongest=strongest([(word.text, word.value) for word in words]),
            attribution=attribution,
        )

    def attention(self, asked: Asked) -> Part | None:
        """Of every layer, and rolled out; None where the model has none that can be seen."""
        maps = attention_maps(lambda: asked.outputs(asked.batch), len(self.text.ids))
        if not maps:
            return None
        words = self.text.words(rollout(maps).tolist(), with_special=True)
        layers = [[w.value for w in self.text.words(m[0].tolist(), with_special=True)] for m in maps]
        own = [(word.text, word.value) for word in words if not word.is_special]
        return Part(
            method="attention",
            title="Attention",
            text="How much of each word reaches the first token through all layers (rollout, mean over "
            "heads). It says what is looked at, not what it speaks for.",
            words=words,
            strongest=strongest(own),
            layers=[list(values) for values in zip(*layers, strict=True)],
        )


def embedding_of(task: nn.Module, ids: Tensor, call: Callable[[], object]) -> nn.Embedding:
    """The table that gives each token its vector, found by running the model.

    Raises:
        ConfigError: there is none.
    """
    found: list[nn.Embedding] = []

    def note(module: nn.Module, args: tuple[Any, ...], _: Any) -> None:
        if isinstance(module, nn.Embedding) and args and torch.equal(args[0], ids):
            found.append(module)

    tables = [module for module in task.modules() if isinstance(module, nn.Embedding)]
    handles = [table.register_forward_hook(note) for table in tables]
    try:
        with torch.no_grad():
            call()
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ConfigError(
            "the model has no nn.Embedding that takes the token ids: its words cannot be weighed",
            where=type(task).__name__, fix="--method attention",
        )  # fmt: skip
    return found[0]


@contextmanager
def replaced(layer: nn.Module, output: Tensor) -> Generator[None]:
    """A body in which a layer returns this."""

    def give(_: nn.Module, __: Any, ___: Any) -> Tensor:
        return output

    handle = layer.register_forward_hook(give)
    try:
        yield
    finally:
        handle.remove()
