"""Masked language modelling: which token stands at a place, given those on both sides."""

import math
from collections.abc import Iterator
from typing import Any, Protocol, cast, final

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, TokenData
from aiexp.errors import ConfigError
from aiexp.model.text.masked_head import MaskedHead, MaskedLogits
from aiexp.prediction.masked_texts import MaskedBatch, MaskedTexts
from aiexp.prediction.network import Network
from aiexp.prediction.prediction import Prediction
from aiexp.ranges import NonNegativeInt, PositiveInt
from aiexp.rundir.judged_by import Better
from aiexp.task.base import LOGITS, OptimizerFactory, Task, Update
from aiexp.task.language.vocabulary_digest import keep_vocabulary
from aiexp.task.network_parts import grouped
from aiexp.task.pretraining.filling import prediction, sample_table
from aiexp.task.pretraining.guesses import Guesses, guesses_of
from aiexp.task.pretraining.masking import IGNORED, Masking
from aiexp.task.pretraining.sequences import ALONE, PAIR, alone, pairs
from aiexp.task.pretraining.token_kinds import token_kinds
from aiexp.task.report import Evaluation, Table

# Tensor letters: B sequences, S tokens of each, K masked places of each, H hidden size, V vocabulary.

BETTER: dict[str, Better] = {
    "loss": "min", "perplexity": "min", "accuracy": "max", "next_loss": "min", "next_accuracy": "max",
}  # fmt: skip
SAMPLES = "samples"
STREAMS = {"train": 1, "eval": 3, "test": 5}  # of the draws of masks; those of pairs are the next numbers


class MaskedEncoder(Protocol):
    """What this task needs of a model: `aiexp.model.text.bert.Bert` or any other with these members."""

    hidden_size: int
    max_tokens: int
    tokenizer: Any  # None: that of the data
    shape: Any  # layer_norm_eps, initializer_range
    embedding: Any  # embedding.word.weight, (V, H)
    layers: nn.ModuleList
    pooler: nn.Module

    def set_tokenizer(self, tokenizer: Any) -> None:
        """Takes the tokenizer of the data, where it has none."""
        ...

    def pool(self, hidden: Tensor) -> Tensor:
        """One vector (B, H) for each sequence of (B, S, H) hidden states."""
        ...


@final
class MaskedLanguageModeling(Task):
    """Pretrains an encoder: it guesses hidden tokens, and if wanted whether a segment follows another.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 3.1.
    Departures: as of `Masking` and `pairs`; a sequence is a window of running text, wherever it begins; the
    loss of the next sentence weighs a pair by its hidden tokens, so that several ranks have the same mean.

    Logs: train/loss (nats a hidden token, and those of a next sentence), train/accuracy, train/next_accuracy;
    eval/ and test/: loss (of hidden tokens alone), perplexity (its exponential), accuracy of the most
    probable token; of guesses at the same places: unigram_accuracy (always the most frequent token of the
    training part), bigram_accuracy (the token that most often follows the one before, hidden or not); with
    the next sentence next_loss, next_accuracy; the table of samples.

    Args:
        model: The encoder; see `MaskedEncoder`.
        dataset: Running text; it is tokenized here.
        optimizer: Makes an optimizer from parameter groups.
        masking: What is hidden.
        next_sentence: Whether sequences are pairs, and it is learned which of them belong together.
        num_samples: Sentences in the table of samples; 0 for none.
        num_fillings: Most probable fillings that are shown of a place.

    Raises:
        ConfigError: sequences are longer than the model can read, or the vocabulary has no mask.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: MaskedEncoder,
        dataset: TokenData,
        optimizer: OptimizerFactory,
        masking: Masking,
        next_sentence: bool,
        num_samples: NonNegativeInt,
        num_fillings: PositiveInt,
    ) -> None:
        super().__init__()
        self.tokenizer: Tokenizer = model.tokenizer or dataset.make_tokenizer()
        if model.tokenizer is None:
            model.set_tokenizer(self.tokenizer)
        self.kinds = token_kinds(self.tokenizer)
        masking.check(self.kinds)
        extra = PAIR if next_sentence else ALONE
        self.max_tokens: int = dataset.context + extra
        if self.max_tokens > model.max_tokens:
            raise ConfigError(
                f"the model reads {model.max_tokens} tokens, and a sequence has {self.max_tokens}",
                where="TokenDataset.context", fix=f"dataset.context={model.max_tokens - extra}",
            )  # fmt: skip
        dataset.tokenize(self.tokenizer)
        self.model: Any = model
        self.head = MaskedHead(
            model.hidden_size, self.tokenizer.get_vocab_size(), layer_norm_eps=model.shape.layer_norm_eps,
            initializer_range=model.shape.initializer_range,
        )  # fmt: skip
        self.next_head = nn.Linear(model.hidden_size, 2) if next_sentence else None
        model.pooler.requires_grad_(next_sentence)  # without it nothing asks for sentence vectors
        keep_vocabulary(self.model, self.tokenizer)
        self.optimizer, self.masking = optimizer, masking
        self.num_samples, self.num_fillings = num_samples, num_fillings
        self._guesses: tuple[Any, Guesses] | None = None

    def describe(self) -> dict[str, Any]:
        """The number of tokens in the vocabulary."""
        return {"vocab_size": self.tokenizer.get_vocab_size(), "max_tokens": self.max_tokens}

    def batches(self, dataset: Dataset, start: int) -> Iterator[Any]:
        """Sequences with hidden tokens, other ones in each pass over the text."""
        for number, windows in enumerate(dataset.train_batches(start), start):
            yield self.masked(self.sequences(windows, "train", number), "train", number)

    def sequences(self, windows: dict[str, Tensor], split: str, number: int) -> dict[str, Tensor]:
        """What is read of windows: `input_ids` and what goes with them, nothing hidden yet."""
        if self.next_head is None:
            return alone(windows["input_ids"], self.kinds)
        return pairs(windows["input_ids"], self.kinds, self.masking.seed, number, STREAMS[split] + 1)

    def masked(self, sequences: dict[str, Tensor], split: str, number: int) -> dict[str, Tensor]:
        """The same with tokens hidden; those of evaluations are always the same."""
        return self.masking(sequences, self.kinds, number, STREAMS[split])

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Logits (B * K, V) float32 at the places of a batch; and (B, 2): do its segments belong together."""
        hidden = self.model(batch["input_ids"], batch.get("attention_mask"), batch.get("segments"))
        places = batch["places"].unsqueeze(2).expand(-1, -1, hidden.shape[2])
        found = hidden.gather(1, places).flatten(0, 1)  # (B * K, H); what the head gives must not be a view
        logits = self.head(found, self.model.embedding.word.weight).float()
        return logits, None if self.next_head is None else self.next_head(self.model.pool(hidden)).float()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over the hidden tokens, and over pairs."""
        logits, following = self(batch)
        targets, hidden = batch["targets"].flatten(), batch["targets"] != IGNORED
        count = hidden.sum().clamp(min=1)
        loss = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        metrics = {"accuracy": (logits.detach().argmax(1) == targets).sum() / count}
        if following is not None:
            each = F.cross_entropy(following, batch["is_next"], reduction="none")  # (B,)
            loss = loss + (each * hidden.sum(1)).sum()
            metrics["next_accuracy"] = (following.detach().argmax(1) == batch["is_next"]).float().mean()
        yield Update(loss=loss / count, metrics=metrics, weight=hidden.sum())

    def shards(self) -> list[nn.Module]:
        """The layers; the vectors of the tokens go with the task, whose head uses them too."""
        return list(self.model.layers)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        return {"model": self.optimizer(grouped([p for p in self.parameters() if p.requires_grad]))}

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss and accuracy over the hidden tokens of a split, always the same, beside those of guesses."""
        guesses = self.guesses(cast(TokenData, dataset))
        parts = [
            self.counted(batch, whole, guesses)
            for batch, whole in self.world.dealt(self.hidden(dataset, split))
        ]
        loss, right, unigram, bigram, places, next_loss, next_right, rows = (
            sum(column) for column in zip(*self.gathered(parts), strict=True)
        )
        count = max(places, 1)
        metrics = {
            "loss": loss / count,
            "perplexity": math.exp(min(loss / count, 700.0)),
            "accuracy": right / count,
            "unigram_accuracy": unigram / count,
            "bigram_accuracy": bigram / count,
        }
        if self.next_head is not None:
            metrics |= {"next_loss": next_loss / rows, "next_accuracy": next_right / rows}
        better: dict[str, Better] = {name: way for name, way in BETTER.items() if name in metrics}
        return Evaluation(metrics=metrics, better=better, tables=self.samples(dataset, split))

    def hidden(self, dataset: Dataset, split: str) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """The batches of a split with hidden tokens, and their (B, S) tokens."""
        for number, windows in enumerate(dataset.eval_batches(split)):
            sequences = self.sequences(windows, split, number)
            yield self.masked(sequences, split, number), sequences["input_ids"]

    def counted(self, batch: dict[str, Tensor], whole: Tensor, guesses: Guesses) -> list[float]:
        """Sums over a batch: loss, right answers of the network and of guesses, places; of pairs likewise."""
        logits, following = self(self.to_device(batch))
        targets = batch["targets"]
        truth = targets.flatten().to(logits.device)
        loss = F.cross_entropy(logits, truth, ignore_index=IGNORED, reduction="sum")
        before = whole.gather(1, (batch["places"] - 1).clamp(min=0))  # what stood to the left, hidden or not
        answers = [
            logits.argmax(1).cpu().view_as(targets),
            torch.tensor(guesses.unigram),
            guesses.bigrams[before],
        ]
        right = [float((answer == targets).sum()) for answer in answers]
        sums = [loss.item(), *right, float((targets != IGNORED).sum())]
        if following is None:
            return [*sums, 0.0, 0.0, 0.0]
        is_next = batch["is_next"]
        next_loss = F.cross_entropy(following, is_next.to(following.device), reduction="sum").item()
        return [*sums, next_loss, float((following.argmax(1).cpu() == is_next).sum()), float(len(is_next))]

    def guesses(self, dataset: TokenData) -> Guesses:
        """Those of the training part, counted once."""
        row = dataset.row("train")
        if self._guesses is None or self._guesses[0] is not row:
            self._guesses = (row, guesses_of(row, self.tokenizer.get_vocab_size()))
        return self._guesses[1]

    def samples(self, dataset: Dataset, split: str) -> dict[str, Table]:
        """Fillings of the first hidden token of some sentences, as a table."""
        if not self.num_samples or not (self.world.is_leader or self.world.is_sharded):
            return {}
        batch = {
            name: value[: self.num_samples] for name, value in next(self.hidden(dataset, split))[0].items()
        }
        logits, _ = self(self.to_device(batch))
        logits = logits.cpu().view(*batch["places"].shape, -1)
        return {SAMPLES: sample_table(batch, logits, self.tokenizer, self.kinds, self.num_fillings)}

    def inputs(self) -> MaskedTexts:
        """Texts with masks, as long as the sequences of the training."""
        return MaskedTexts(self.tokenizer, self.kinds.mask, self.max_tokens, self.num_fillings)

    def predict(self, batch: MaskedBatch) -> list[Prediction]:
        """The most probable fillings of each mask, each by itself."""
        places = batch.tensors["places"]
        logits, _ = self(batch.tensors | {"places": places.clamp(min=0)})
        each = logits.cpu().view(*places.shape, -1)
        rows = zip(batch.tensors["input_ids"].tolist(), places.tolist(), each, strict=True)
        return [prediction(*row, self.tokenizer, batch.top_k) for row in rows]

    def networks(self) -> dict[str, Network]:
        """The network: logits (B, T, V) at every place of (B, T) int64."""
        module = MaskedLogits(self.model, self.head)
        return {LOGITS: Network(module=module, inputs=self.inputs().ports(), outputs=(LOGITS,))}
