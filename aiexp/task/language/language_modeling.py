"""Language modelling: the probability of each token, given those before it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Protocol, cast, final

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, LanguageData
from aiexp.dataset.language.vocabulary import end_token
from aiexp.errors import ConfigError
from aiexp.model.carried import carried_folder, carry_files
from aiexp.model.peft.base import Peft
from aiexp.model.text.tokenizer import load_tokenizer
from aiexp.prediction.network import Network
from aiexp.prediction.prediction import Prediction
from aiexp.prediction.prompts import PromptBatch, Prompts, Sampling
from aiexp.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Range
from aiexp.rundir.judged_by import Better
from aiexp.task.base import LOGITS, OptimizerFactory, Task, Update
from aiexp.task.language.generation import continuation, generate, special_tokens
from aiexp.task.language.vocabulary_digest import keep_vocabulary
from aiexp.task.network_parts import grouped
from aiexp.task.report import Evaluation, Table
from aiexp.text.terminal import visible

# Tensor letters: B windows, T tokens of each, V vocabulary.

BETTER: dict[str, Better] = {
    "loss": "min", "perplexity": "min", "bits_per_char": "min", "bits_per_byte": "min", "accuracy": "max",
}  # fmt: skip
SAMPLES = "samples"


class CausalModel(Protocol):
    """What this task needs of a model: `aiexp.model.language.gpt.Gpt` or any other with these members."""

    tokenizer: Tokenizer | None  # None: that of the data
    max_tokens: int | None  # longest T; None: any, or known once the vocabulary is
    is_unrolled: bool  # whether a program of it is for one T alone, which loops become

    def set_vocabulary(self, size: int, context: int, boundary: int | None) -> None:
        """Makes what depends on the number of tokens, the longest window, the token before documents."""
        ...

    def continued(self, input_ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (B, V) after the last of (B, T) int64, and the state after it; None before the first."""
        ...

    def shards(self) -> list[nn.Module]:
        """As of a task."""
        ...


@final
class LanguageModeling(Task):
    """Predicts each token of running text from those before it.

    Source: Bengio et al. 2003 (JMLR 3, 1137-1155), equation 1: the mean negative log-probability of a token.
    Departures: none.

    Logs: train/loss (nats a token), train/accuracy; eval/ and test/: loss, perplexity (its exponential),
    bits_per_char and bits_per_byte (of the text, however many tokens it is), accuracy of the most probable
    token; the table of samples.

    Args:
        model: The network; see `CausalModel`.
        dataset: Running text; it is tokenized here.
        optimizer: Makes an optimizer from parameter groups.
        peft: Which few parameters of the network learn; None: all.
        num_samples: Texts made at each evaluation; 0 for none.
        sample_tokens: Length of each.
        sample_prompt: What they go on from.
        temperature: As of `aiexp predict`, for the samples.
        top_k: The same.
        top_p: The same.

    Raises:
        ConfigError: the windows are longer than the model can read, or a learned prompt meets documents.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: CausalModel,
        dataset: LanguageData,
        optimizer: OptimizerFactory,
        peft: Peft | None,
        num_samples: NonNegativeInt,
        sample_tokens: PositiveInt,
        sample_prompt: str,
        temperature: NonNegativeFloat,
        top_k: NonNegativeInt,
        top_p: Annotated[float, Range("(0, 1]")],
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer_of(model, dataset)
        self.context: int = dataset.context
        size = self.tokenizer.get_vocab_size()
        self.boundary: int | None = end_token(self.tokenizer) if dataset.has_documents else None
        model.set_vocabulary(size, self.context, self.boundary)
        if peft is not None:
            peft.apply(model)  # pyright: ignore[reportArgumentType]
        if self.boundary is not None and getattr(model, "prompt", None) is not None:
            raise ConfigError(
                "a prompt stands before one text, and windows of documents hold several", where="peft",
                fix="peft=prefix, which every document sees, or dataset.documents=none",
            )  # fmt: skip
        if model.max_tokens is not None and self.context > model.max_tokens:
            raise ConfigError(
                f"the model reads {model.max_tokens} tokens, and a window has {self.context}",
                where="LanguageDataset.context", fix=f"context={model.max_tokens}",
            )  # fmt: skip
        dataset.tokenize(self.tokenizer)
        self.model: Any = model
        keep_vocabulary(self.model, self.tokenizer)
        self.optimizer, self.num_samples = optimizer, num_samples
        self.sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, max_tokens=sample_tokens)
        self.sample_prompt = sample_prompt

    def describe(self) -> dict[str, Any]:
        """The number of tokens in the vocabulary."""
        return {"vocab_size": self.tokenizer.get_vocab_size(), "context": self.context}

    def forward(self, input_ids: Tensor, state: Any = None, is_generating: bool = False) -> Any:
        """Logits (B, T, V) after each of (B, T) int64; generating as of `CausalModel.continued`."""
        return self.model.continued(input_ids, state) if is_generating else self.model(input_ids)

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over all tokens of the batch."""
        logits, targets = self(batch["input_ids"]).flatten(0, 1), batch["targets"].flatten()
        loss = F.cross_entropy(logits.float(), targets)
        accuracy = (logits.detach().argmax(1) == targets).float().mean()
        yield Update(loss=loss, metrics={"accuracy": accuracy})

    def shards(self) -> list[nn.Module]:
        """The blocks of the model."""
        return self.model.shards()

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        return {"model": self.optimizer(grouped(self.parameters()))}

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss over every token of a split, by character and byte too, and texts that the model makes."""
        parts: list[tuple[float, int, int]] = []
        for batch in self.dealt(dataset, split):
            moved = self.to_device(batch)
            logits, targets = self(moved["input_ids"]).flatten(0, 1).float(), moved["targets"].flatten()
            total = F.cross_entropy(logits, targets, reduction="sum").item()
            parts.append((total, int((logits.argmax(1) == targets).sum()), len(targets)))
        total, right, count = (sum(column) for column in zip(*self.gathered(parts), strict=True))
        data, loss = cast(LanguageData, dataset), total / count
        bits = loss / math.log(2)
        metrics = {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "bits_per_char": bits / data.characters_per_token(split),
            "bits_per_byte": bits / data.bytes_per_token(split),
            "accuracy": right / count,
        }
        return Evaluation(metrics=metrics, better=BETTER, tables=self.samples())

    def samples(self) -> dict[str, Table]:
        """Texts that go on from `sample_prompt`, each by a seed of its own, as a table."""
        prompt: list[int] = self.tokenizer.encode(self.sample_prompt).ids
        is_needed = self.world.is_leader or self.world.is_sharded
        if not self.num_samples or not prompt or not is_needed:
            return {}
        rows: list[list[str | int | float]] = []
        for seed in range(self.num_samples):
            made = self.go_on(prompt, replace(self.sampling, seed=seed))
            rows.append([seed, self.sample_prompt, continuation(self.tokenizer, prompt, made)])
        return {SAMPLES: Table(columns=["seed", "prompt", "continuation"], rows=rows)}

    def go_on(self, prompt: list[int], sampling: Sampling) -> list[int]:
        """The tokens after a prompt; of one of several documents, after the last."""
        if self.boundary in prompt:
            prompt = prompt[len(prompt) - 1 - prompt[::-1].index(self.boundary) :]
        # Compiled, it would be compiled again for every length; of sharded weights the hooks are needed.
        call = self if self.world.is_sharded else self.forward

        def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
            return call(tokens.to(self.device), state, is_generating=True)

        return generate(
            step, prompt, sampling, limit=self.model.max_tokens, stops=special_tokens(self.tokenizer)
        )

    def inputs(self) -> Prompts:
        """Prompts of any length."""
        return Prompts(self.tokenizer, self.context)

    def predict(self, batch: PromptBatch) -> list[Prediction]:
        """How each prompt goes on, each by the same seed, as if it were alone."""
        answers: list[Prediction] = []
        for prompt in batch.prompts:
            made = self.go_on(prompt, batch.sampling)
            text, limit = continuation(self.tokenizer, prompt, made), self.model.max_tokens
            unread = max(len(prompt) - limit, 0) if limit is not None else 0
            values = {"continuation": text, "tokens": len(made), "prompt_tokens": len(prompt)}
            whole = self.tokenizer.decode(prompt) + text
            answers.append(
                Prediction(line=visible(text), values={**values, "unread_tokens": unread}, text=whole)
            )
        return answers

    def networks(self) -> dict[str, Network]:
        """The network: logits (B, T, V) of the token after each of (B, T) int64."""
        ports = self.inputs().ports()
        if self.model.is_unrolled:
            port = ports["input_ids"]
            ports = {"input_ids": replace(port, sizes=("batch", self.context), limits={})}
        return {LOGITS: Network(module=self.model, inputs=ports, outputs=(LOGITS,))}


def tokenizer_of(model: CausalModel, dataset: LanguageData) -> Tokenizer:
    """The model's own tokenizer; else that of the run that is loaded, or of the data, which a run keeps."""
    if model.tokenizer is not None:
        return model.tokenizer
    folder = carried_folder()
    if folder is not None:
        return load_tokenizer(folder)
    made = dataset.make_tokenizer()
    carry_files({"tokenizer.json": made.to_str().encode()})
    return made
