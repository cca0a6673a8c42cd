"""Token tagging: a tag for each word of a sentence."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Protocol, cast, final

import torch
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, TaggingData
from aiexp.dataset.tagging.encoding import (
    FIRST,
    OTHER,
    VOCABULARY,
    WORD_MASK,
    Encoding,
    Pieces,
    letters_from,
    letters_of,
)
from aiexp.dataset.tagging.scheme import PLAIN, is_valid, spans_of
from aiexp.model.carried import carried_folder, carry_files
from aiexp.model.layer.crf import ApartTags, LinearChainCrf
from aiexp.model.text.tokenizer import check_has_tokenizer
from aiexp.prediction.network import Network
from aiexp.prediction.prediction import Prediction
from aiexp.prediction.words import Sentences, Words
from aiexp.ranges import NonNegativeInt, Range, Share
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.network_parts import freeze_layers, layer_holders, scaled_groups
from aiexp.task.report import Evaluation
from aiexp.task.tagging.report import BETTER, MATRIX, Tagged, tagging_metrics, tagging_report, worst
from aiexp.text.terminal import visible

# Tensor letters: B rows, T pieces, W words, K tags, H hidden size.

EMISSIONS = "emissions"


class WordReader(Protocol):
    """What this task needs of a model: `aiexp.model.text.bert.Bert`, `aiexp.model.tagging.bilstm.BiLstm`, ...

    Called with tensors of a batch (`Encoding.inputs`) it returns (B, T, H) of pieces where it has a
    tokenizer, else (B, W, H) of words.
    """

    hidden_size: int
    max_tokens: int | None  # longest row; None: any
    tokenizer: Any  # None: it reads words and their characters, and has `set_vocabulary` and `min_count`
    pooler: nn.Module | None  # of no use here

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embeddings (first) through every layer to what comes after (last)."""
        ...


@final
class TokenTagging(Task):
    """Gives each word of a sentence a tag: its part of speech, or whether it is of a name.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 5.3: a linear layer on the vector of each word's
    first piece, cross entropy; Lample et al. 2016 (arXiv 1603.01360) and Ma & Hovy 2016 (arXiv 1603.01354): a
    conditional random field over the tags of a sentence, on a recurrent network.
    Departures: the loss is a mean over words, with a field too.

    Logs: train/loss (nats a word), train/accuracy (without a field); eval/ and test/: loss (of sentences
    whose tags all occur in training), accuracy of words, sentence_accuracy; where tags are of spans also
    precision, recall and f1 of spans, over all kinds, as conlleval and seqeval count them.

    Args:
        model: The network; see `WordReader`.
        dataset: Tagged sentences; what the model reads is made of them here.
        optimizer: Makes an optimizer from parameter groups.
        crf: Whether tags of a sentence are chosen together, by a conditional random field.
        valid_only: Whether the field never chooses tags that break their scheme (I-PER behind O).
        dropout: Probability on the vector of each word.
        head_lr_scale: Factor on the learning rate of the last layer and the field, which begin anew.
        layer_decay: Factor on the learning rate for each layer further down; 1 is the same rate everywhere.
        frozen_layers: Groups of layers kept fixed, counted from the embeddings.
        num_worst: Rows in the table of the worst sentences.

    Raises:
        ConfigError: more frozen layers than there are, or a model without a vocabulary.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: WordReader,
        dataset: TaggingData,
        optimizer: OptimizerFactory,
        crf: bool,
        valid_only: bool,
        dropout: Share,
        head_lr_scale: Annotated[float, Range("> 0")],
        layer_decay: Annotated[float, Range("(0, 1]")],
        frozen_layers: NonNegativeInt,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        self.tag_names, self.scheme = dataset.tag_names, dataset.scheme
        check_has_tokenizer(model)
        self.encoding = encoding_of(model, dataset)
        self.model: Any = model
        self.head = nn.Linear(model.hidden_size, len(self.tag_names))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(dropout)
        allowed = allowed_pairs(self.tag_names, self.scheme) if valid_only else None
        self.decoder = LinearChainCrf(len(self.tag_names), allowed) if crf else ApartTags()
        self.optimizer, self.is_crf, self.num_worst = optimizer, crf, num_worst
        self.layer_decay, self.head_lr_scale = layer_decay, head_lr_scale
        if model.pooler is not None:
            model.pooler.requires_grad_(False)
        freeze_layers(model.layer_groups(), frozen_layers)
        dataset.tokenize(self.encoding)

    def describe(self) -> dict[str, Any]:
        """The tag of each number, and their scheme."""
        return {"id2label": {str(i): tag for i, tag in enumerate(self.tag_names)}, "scheme": self.scheme}

    def forward(self, batch: dict[str, Tensor], is_decoding: bool = False) -> dict[str, Tensor]:
        """What there is to say of a batch: one call, so that sharded weights are whole in it.

        Returns:
            Where the batch has labels "losses" (B,) float32, 0 for rows with a tag that training has not; if
            decoding "tags" (B, W) int64.
        """
        emissions, mask = self.emissions(batch), batch[WORD_MASK]
        made: dict[str, Tensor] = {}
        if "labels" in batch:
            losses = self.decoder.losses(emissions, batch["labels"], mask)
            made["losses"] = torch.where(is_known(batch), losses, 0.0)
        if is_decoding:
            made["tags"] = self.decoder.best(emissions.detach(), mask)
        return made

    def emissions(self, batch: dict[str, Tensor]) -> Tensor:
        """Scores of tags, (B, W, K) float32; of all pieces (B, T, K) where nobody says which are first."""
        hidden = self.model(*(batch[name] for name in self.encoding.inputs))
        if FIRST in batch:
            hidden = hidden.gather(1, batch[FIRST][:, :, None].expand(-1, -1, hidden.shape[2]))
        return self.head(self.dropout(hidden)).float()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: the mean over all words of the batch."""
        made, count = self(batch, is_decoding=not self.is_crf), batch[WORD_MASK].sum()
        metrics: dict[str, Tensor] = {}
        if not self.is_crf:  # whose best tags take as long as its likelihood
            metrics["accuracy"] = (made["tags"] == batch["labels"]).sum() / count
        yield Update(loss=made["losses"].sum() / count, metrics=metrics, weight=count)

    def shards(self) -> list[nn.Module]:
        """The modules that hold a group of layers each: the embeddings, every layer."""
        return [module for module in layer_holders(self.model) if module is not self.model.pooler]

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        layers = self.model.layer_groups()
        # What comes after the last layer belongs to it.
        depths = [max(len(layers) - 2 - i, 0) for i in range(len(layers))]
        rates = [(layer, self.layer_decay**depth) for layer, depth in zip(layers, depths, strict=True)]
        anew = [*self.head.parameters(), *self.decoder.parameters()]
        return {"model": self.optimizer(scaled_groups([*rates, (anew, self.head_lr_scale)]))}

    def inputs(self) -> Sentences:
        """Sentences of any length, as texts or as lists of words."""
        return Sentences(self.encoding, self.tag_files())

    def predict(self, batch: Words) -> list[Prediction]:
        """The tag of each word of each sentence."""
        chosen = self(dict(batch.tensors), is_decoding=True)["tags"].tolist()
        counts = batch.tensors[WORD_MASK].sum(1).tolist()
        tags: list[list[str]] = [[] for _ in batch.words]
        for owner, row, count in zip(batch.owners, chosen, counts, strict=True):
            tags[owner] += [self.tag_names[number] for number in row[:count]]
        return [tagged(words, those, self.scheme) for words, those in zip(batch.words, tags, strict=True)]

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, accuracy, of spans F1; as a report also tables, and the confusion of the frequent tags."""
        parts: list[tuple[Tensor, ...]] = []
        for batch in self.dealt(dataset, split):
            made = self(self.to_device(batch), is_decoding=True)
            found = made["losses"], made["tags"].int(), is_known(batch), batch[WORD_MASK].sum(1)
            parts.append((*(tensor.cpu() for tensor in found), batch["index"], batch["start"]))
        data = cast(TaggingData, dataset)
        sentences, loss = self.joined(self.gathered(parts), data, split)
        metrics = {"loss": loss, **tagging_metrics(sentences, self.scheme)}
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        words = [data.words(split, one.index) for one in worst(sentences, self.num_worst)]
        matrix, tables = tagging_report(sentences, words, self.scheme, self.num_worst)
        return Evaluation(
            metrics=metrics, better=BETTER, pictures={MATRIX: matrix.png}, pdfs={MATRIX: matrix.pdf},
            tables=tables,
        )  # fmt: skip

    def joined(
        self, parts: Sequence[tuple[Tensor, ...]], dataset: TaggingData, split: str
    ) -> tuple[list[Tagged], float]:
        """The sentences of a split with their rows put together, and the mean loss of a word."""
        rows: dict[int, list[tuple[int, float, list[int]]]] = {}
        total = words = 0.0
        for losses, tags, known, counts, index, start in parts:
            total, words = total + losses.double().sum().item(), words + counts[known].sum().item()
            each = (losses.tolist(), tags.tolist(), counts.tolist(), index.tolist(), start.tolist())
            for loss, row, count, sentence, place in zip(*each, strict=True):
                rows.setdefault(sentence, []).append((place, loss, row[:count]))
        made: list[Tagged] = []
        for sentence, those in sorted(rows.items()):
            tags, loss = dataset.tags(split, sentence), sum(loss for _, loss, _ in those)
            given = [self.tag_names[number] for _, _, row in sorted(those) for number in row]
            # Not all rows of a sentence need to be there: a run tries its evaluation on one batch.
            truth = [tag for place, _, row in sorted(those) for tag in tags[place : place + len(row)]]
            made.append(Tagged(index=sentence, loss=loss, truth=truth, given=given))
        return made, total / max(words, 1)

    def networks(self) -> dict[str, Network]:
        """Scores of tags before any choice: of every piece (a word's first one counts), or of every word."""
        ports = self.inputs().ports()
        module = EmissionNetwork(self, list(ports))
        text = "scores of tags; tags.json has their names, and the transitions of a field"
        return {EMISSIONS: Network(module=module, inputs=ports, outputs=(EMISSIONS,), text=text)}

    def tag_files(self) -> dict[str, bytes]:
        """The names of the tags, and the field's transitions, which choose among emissions."""
        content: dict[str, Any] = {"tags": self.tag_names, "scheme": self.scheme}
        if self.is_crf:
            content["crf"] = {name: p.detach().cpu().tolist() for name, p in self.decoder.named_parameters()}
        return {"tags.json": json.dumps(content, ensure_ascii=False, indent=1).encode()}


@final
class EmissionNetwork(nn.Module):
    """The emissions of a task as a network of tensors.

    Args:
        task: Whose.
        names: Of the tensors, in the order in which they will come.
    """

    def __init__(self, task: TokenTagging, names: Sequence[str]) -> None:
        super().__init__()
        self.task, self.names = task, tuple(names)

    def forward(self, *tensors: Tensor) -> Tensor:
        """(B, T, K) or (B, W, K) float32."""
        return self.task.emissions(dict(zip(self.names, tensors, strict=True)))


def encoding_of(model: WordReader, dataset: TaggingData) -> Encoding:
    """How the model reads words: by its tokenizer, or by a vocabulary of the data, which a run keeps."""
    longest = min(dataset.max_tokens, model.max_tokens or dataset.max_tokens)
    if model.tokenizer is not None:
        return Pieces(model.tokenizer, longest)
    reader: Any = model
    folder = carried_folder()
    if folder is not None:
        letters = letters_from((folder / VOCABULARY).read_bytes(), longest)
    else:
        letters = letters_of(dataset.word_counts(), reader.min_count, longest)
        carry_files(letters.files())
    reader.set_vocabulary(len(letters.words) + OTHER + 1, len(letters.characters) + OTHER + 1)
    return letters


def is_known(batch: dict[str, Tensor]) -> Tensor:
    """(B,) bool: whether all tags of a row occur in training."""
    return ((batch["labels"] >= 0) | ~batch[WORD_MASK]).all(1)


def allowed_pairs(tag_names: Sequence[str], scheme: str) -> Tensor | None:
    """(K + 1, K + 1) bool: which tag may follow which; None where any may."""
    if scheme == PLAIN:
        return None
    ends = [*tag_names, None]
    return torch.tensor([[is_valid(before, tag, scheme) for tag in ends] for before in ends])


def tagged(words: list[str], tags: list[str], scheme: str) -> Prediction:
    """A prediction: words with their tags, and the spans that these make."""
    line = " ".join(f"{word}/{tag}" for word, tag in zip(words, tags, strict=True))
    values: dict[str, Any] = {"tags": tags, "words": words}
    if scheme != PLAIN:
        spans = [
            {"kind": kind, "text": " ".join(words[start:stop]), "start": start, "stop": stop}
            for kind, start, stop in spans_of(tags)
        ]
        line = "; ".join(f"{span['kind']}: {span['text']}" for span in spans) or "no spans"
        values = {"spans": spans, **values}
    return Prediction(line=visible(line), values=values)
