"""Classes of texts from a few examples, or from their descriptions alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, TextData
from aiexp.errors import ConfigError, nearest
from aiexp.model.text.tokenizer import check_has_tokenizer
from aiexp.prediction.texts import Texts
from aiexp.ranges import NonNegativeInt, PositiveFloat, Probability
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.classification.report import BETTER, judged, reported
from aiexp.task.network_parts import grouped, layer_holders
from aiexp.task.report import Evaluation

# Tensor letters: B batch, T tokens, C classes, H hidden size.


class SentenceEncoder(Protocol):
    """What this task needs of a model: `aiexp.model.text.bert.Bert` or any other with these members."""

    hidden_size: int
    max_tokens: int
    tokenizer: Any
    pooler: nn.Module | None  # of no use here

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Hidden states (B, T, H) of (B, T) int64 and (B, T) bool."""
        ...

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embeddings (first) through every layer to the last."""
        ...


@final
class FewShotTextClassification(Task):
    """Brings sentence vectors of a class together, around a vector that begins as that of its description.

    Source: Tunstall et al. 2022 (SetFit, arXiv 2209.11055), section 3: pairs of the few examples, cosine 1
    within a class and 0 between two; descriptions as classes: Yin et al. 2019 (arXiv 1909.00161).
    Departures: all pairs of a batch at once (of a rank's share of it) instead of sampled ones; the
    classifier is learned in the same steps, by cosine to a vector for each class, not after them by logistic
    regression.

    Logs: train/loss, train/accuracy; eval/ and test/: loss, accuracy, macro_f1, as of `TextClassification`.

    Args:
        model: The encoder, best one of sentences; see `SentenceEncoder`.
        dataset: A text data set; it is tokenized here with the encoder's tokenizer.
        optimizer: Makes an optimizer from parameter groups.
        descriptions: Class name to a text that says what its texts are like; None: the name itself.
        contrast: Share of the loss of pairs, [0, 1]; the rest is cross entropy.
        scale: Factor from cosines to logits.
        head_lr_scale: Factor on the learning rate of the classes' vectors.
        num_worst: Rows in the table of the most confident errors.

    Raises:
        ConfigError: the descriptions are not of these classes, or the model has no vocabulary.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: SentenceEncoder,
        dataset: TextData,
        optimizer: OptimizerFactory,
        descriptions: dict[str, str] | None,
        contrast: Probability,
        scale: PositiveFloat,
        head_lr_scale: PositiveFloat,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        self.class_names: list[str] = dataset.class_names
        check_has_tokenizer(model)
        texts = described(self.class_names, descriptions)
        self.model: Any = model
        if model.pooler is not None:
            model.pooler.requires_grad_(False)
        self.classes = nn.Parameter(self.vectors_of(texts))
        self.optimizer, self.contrast, self.scale = optimizer, contrast, scale
        self.head_lr_scale, self.num_worst = head_lr_scale, num_worst
        self.max_tokens: int = min(model.max_tokens, getattr(dataset, "max_tokens", model.max_tokens))
        dataset.tokenize(model.tokenizer, model.max_tokens)

    def describe(self) -> dict[str, Any]:
        """The name of each class, by its number."""
        return {"id2label": {str(i): name for i, name in enumerate(self.class_names)}}

    def vectors_of(self, texts: list[str]) -> Tensor:
        """(C, H) the vectors of descriptions; of a model without weights yet, room for them."""
        weight = next(self.model.parameters())
        if weight.is_meta:
            return torch.empty(len(texts), self.model.hidden_size, device="meta")
        tokenizer: Tokenizer = self.model.tokenizer
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            each = [
                mean_vectors(self.model(torch.tensor([ids]), None), None)
                for ids in (tokenizer.encode(text).ids[: self.model.max_tokens] for text in texts)
            ]
        self.model.train(was_training)
        return torch.cat(each).float()

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (B, C) float32, and the sentence vectors (B, H) of length 1."""
        mask = batch["attention_mask"]
        vectors = mean_vectors(self.model(batch["input_ids"], mask), mask)
        return self.scale * vectors @ F.normalize(self.classes, dim=1).T, vectors

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over the batch, and squared errors of the cosines of its pairs."""
        (logits, vectors), labels = self(batch), batch["labels"]
        same = (labels[:, None] == labels).float()
        others = 1 - torch.eye(len(labels), device=labels.device)
        pairs = ((vectors @ vectors.T - same).square() * others).sum() / others.sum().clamp(min=1)
        loss = self.contrast * pairs + (1 - self.contrast) * F.cross_entropy(logits, labels)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        yield Update(loss=loss, metrics={"accuracy": accuracy})

    def shards(self) -> list[nn.Module]:
        """The modules that hold a group of layers each."""
        return [module for module in layer_holders(self.model) if module is not self.model.pooler]

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases, norms and the classes' vectors do not."""
        encoder = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        classes = {"params": [self.classes], "weight_decay": 0.0, "lr_scale": self.head_lr_scale}
        return {"model": self.optimizer([*grouped(encoder), classes])}

    def inputs(self) -> Texts:
        """Texts, cut to what the model and the data set of the training take."""
        return Texts(self.model.tokenizer, self.max_tokens)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, C) float32."""
        return self(batch)[0]

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, accuracy and macro F1; as a report also per-class table, confusion matrix, worst errors."""
        metrics, truth, probabilities, index = judged(self, dataset, split)
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        data: Any = dataset
        texts: Sequence[str] = data.texts(split)
        shown = [texts[int(i)] for i in index]
        return reported(metrics, truth, probabilities, self.class_names, shown, self.num_worst, "text")


def mean_vectors(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of the vectors of a text's tokens, at length 1: (B, T, H) and (B, T) bool to (B, H).

    Source: Reimers & Gurevych 2019 (arXiv 1908.10084), section 3.
    """
    if mask is None:
        return F.normalize(hidden.float().mean(1), dim=1)
    weights = mask.unsqueeze(2).float()
    return F.normalize((hidden.float() * weights).sum(1), dim=1)  # whatever it is divided by


def described(class_names: list[str], descriptions: Mapping[str, str] | None) -> list[str]:
    """The description of each class.

    Raises:
        ConfigError: one is missing, or of no class.
    """
    if descriptions is None:
        return [name.replace("_", " ") for name in class_names]
    for name in descriptions:
        if name not in class_names:
            raise ConfigError(
                f"there is no class '{name}'.{nearest(name, class_names)}", where="descriptions",
                fix="task.descriptions=null for the names of the classes, or describe "
                f"{', '.join(class_names[:5])}{', ...' if len(class_names) > 5 else ''}",
            )  # fmt: skip
    missing = next((name for name in class_names if name not in descriptions), None)
    if missing is not None:
        raise ConfigError(
            f"class '{missing}' has no description", where="descriptions",
            fix="one for every class, or task.descriptions=null for their names",
        )  # fmt: skip
    return [descriptions[name] for name in class_names]
