"""Text classification: an encoder, a pooled vector, one linear layer."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Protocol, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, TextData
from aiexp.errors import ConfigError
from aiexp.model.peft.base import Peft
from aiexp.model.text.tokenizer import check_has_tokenizer
from aiexp.prediction.texts import Texts
from aiexp.ranges import NonNegativeInt, Range, Share
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.classification.report import BETTER, judged, reported
from aiexp.task.network_parts import freeze_layers, layer_holders, scaled_groups
from aiexp.task.report import Evaluation

# Tensor letters: B batch, T tokens, C classes, H hidden size.


class Encoder(Protocol):
    """What this task needs of a model: `aiexp.model.text.bert.Bert` or any other with these members."""

    hidden_size: int
    max_tokens: int
    tokenizer: Any

    def sentence_vectors(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """One vector (B, H) for each text: input_ids (B, T) int64, attention_mask (B, T) bool."""
        ...

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embeddings (first) through every layer to the pooler (last)."""
        ...


@final
class TextClassification(Task):
    """Fine-tunes an encoder to tell classes of texts apart.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 4.1: the pooled [CLS] vector, dropout, a linear
    layer, cross entropy. Layer-wise learning-rate decay: Howard & Ruder 2018 (arXiv 1801.06146), section 3.2.
    Departures: decay also covers the pooler, which counts as part of the top layer.

    Logs: train/loss, train/accuracy; eval/ and test/: loss (without class weights or smoothing), accuracy,
    macro_f1 (unweighted mean over classes).

    Args:
        model: The encoder; see `Encoder`.
        dataset: A text data set; it is tokenized here with the encoder's tokenizer.
        optimizer: Makes an optimizer from parameter groups.
        peft: Which few parameters of the encoder learn, beside the head; None: all.
        dropout: Probability on the pooled vector.
        class_weights: "balanced" weights classes by 1 / frequency, a list gives one weight a class.
        label_smoothing: Probability mass spread over all classes, in [0, 1).
        layer_decay: Factor on the learning rate for each layer further down; 1 is the same rate everywhere.
        frozen_layers: Groups kept fixed, counted from the embeddings (1 freezes only these).
        num_worst: Rows in the table of the most confident errors.

    Raises:
        ConfigError: more frozen layers than there are, weights that are not one a class, or a model without a
            vocabulary.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: Encoder,
        dataset: TextData,
        optimizer: OptimizerFactory,
        peft: Peft | None,
        dropout: Share,
        class_weights: Literal["balanced"] | list[float] | None,
        label_smoothing: Share,
        layer_decay: Annotated[float, Range("(0, 1]")],
        frozen_layers: NonNegativeInt,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        check_has_tokenizer(model)
        self.model: Any = model
        self.class_names: list[str] = dataset.class_names
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(model.hidden_size, len(self.class_names))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.optimizer, self.label_smoothing, self.layer_decay = optimizer, label_smoothing, layer_decay
        self.num_worst = num_worst
        if peft is not None:
            peft.apply(model)  # pyright: ignore[reportArgumentType]
        freeze_layers(model.layer_groups(), frozen_layers)
        self.class_weights: Tensor | None
        weights = weigh_classes(class_weights, dataset)
        self.register_buffer("class_weights", weights, persistent=False)
        self.max_tokens: int = min(model.max_tokens, getattr(dataset, "max_tokens", model.max_tokens))
        dataset.tokenize(model.tokenizer, model.max_tokens)

    def describe(self) -> dict[str, Any]:
        """The name of each class, by its number."""
        return {"id2label": {str(i): name for i, name in enumerate(self.class_names)}}

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B, C) float32."""
        vectors = self.model.sentence_vectors(batch["input_ids"], batch["attention_mask"])  # (B, H)
        return self.head(self.dropout(vectors)).float()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over the batch."""
        logits, labels = self(batch), batch["labels"]
        loss = F.cross_entropy(logits, labels, self.class_weights, label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        weight = None if self.class_weights is None else self.class_weights[labels].sum()
        yield Update(loss=loss, metrics={"accuracy": accuracy}, weight=weight)

    def shards(self) -> list[nn.Module]:
        """The modules that hold a group of layers each: the embeddings, every layer, the pooler."""
        return layer_holders(self.model)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        return {"model": self.optimizer(self.parameter_groups())}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups with their share of the learning rate, as `lr_scale` over the optimizer's own rate."""
        layers = [*self.model.layer_groups(), list(self.head.parameters())]
        # The pooler belongs to the top layer, and so does the head: both have depth 0.
        depths = [max(len(layers) - 3 - i, 0) for i in range(len(layers))]
        rates = [self.layer_decay**depth for depth in depths]
        return scaled_groups(list(zip(layers, rates, strict=True)))

    def inputs(self) -> Texts:
        """Texts, cut to what the model and the data set of the training take."""
        return Texts(self.model.tokenizer, self.max_tokens)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, C) float32."""
        return self(batch)

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, accuracy and macro F1; as a report also per-class table, confusion matrix, worst errors."""
        metrics, truth, probabilities, index = judged(self, dataset, split)
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        data: Any = dataset
        texts: Sequence[str] = data.texts(split)
        shown = [texts[int(i)] for i in index]
        return reported(metrics, truth, probabilities, self.class_names, shown, self.num_worst, "text")


def weigh_classes(
    class_weights: Literal["balanced"] | list[float] | None, dataset: TextData
) -> Tensor | None:
    """(C,) float32 weights with mean 1 over the examples, or None.

    Raises:
        ConfigError: a list of the wrong length, or examples that nobody has counted.
    """
    if class_weights is None:
        return None
    if class_weights == "balanced":
        counts = dataset.class_counts()
        return torch.tensor(counts.sum() / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)
    if len(class_weights) != len(dataset.class_names):
        raise ConfigError(
            f"class_weights is {class_weights}", where="class_weights",
            fix=f"null, balanced, or a list of {len(dataset.class_names)} numbers",
        )  # fmt: skip
    return torch.tensor(class_weights, dtype=torch.float32)
