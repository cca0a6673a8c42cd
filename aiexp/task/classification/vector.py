"""Classification of vectors and other arrays of numbers: a trunk, and one linear layer."""

from collections.abc import Iterator
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, VectorData
from aiexp.dataset.recalled import is_recalled
from aiexp.errors import ConfigError
from aiexp.model.layer.standardize import Standardize
from aiexp.prediction.vectors import Vectors
from aiexp.ranges import NonNegativeInt, Share
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.batch_norm import check_batch_norm
from aiexp.task.classification.report import BETTER, judged, reported
from aiexp.task.network_parts import grouped, stages
from aiexp.task.report import Evaluation
from aiexp.task.vector import VectorTrunk, check_vectors, fitted, size_trunk

# Tensor letters: B batch, F features of the trunk, C classes; "..." one example.


@final
class VectorClassification(Task):
    """Tells classes of arrays of numbers apart.

    Source: cross entropy on a linear layer over a trunk; label smoothing, Szegedy et al. 2015
    (arXiv 1512.00567, section 7).
    Departures: none.

    Logs: train/loss, train/accuracy; eval/ and test/: loss (without smoothing), accuracy, macro_f1
    (unweighted mean over classes).

    Args:
        model: The trunk; see `VectorTrunk`.
        dataset: Batches hold `x` (B, ...) numbers and `labels` (B,) int64.
        optimizer: Makes an optimizer from parameter groups.
        standardize: Bring each number to mean 0 and deviation 1, by those of the training split.
        label_smoothing: Probability mass spread over all classes, in [0, 1).
        num_worst: Rows of the most confident errors.

    Raises:
        ConfigError: the data set has no classes; or a batch of one meets batch norm.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: VectorTrunk,
        dataset: VectorData,
        optimizer: OptimizerFactory,
        standardize: bool,
        label_smoothing: Share,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        check_vectors(dataset)
        check_classes(dataset)
        self.class_names: list[str] = list(dataset.class_names)
        self.feature_shape, self.feature_names = list(dataset.feature_shape), list(dataset.feature_names)
        size_trunk(model, self.feature_shape)
        self.normalized_rows = check_batch_norm(model, dataset)
        self.model: Any = model
        self.head = nn.Linear(model.feature_size, len(self.class_names))
        self.standardize = Standardize(self.feature_shape)
        if standardize and not is_recalled(dataset):
            self.standardize.fit(fitted(dataset, "x"))
        self.optimizer, self.label_smoothing, self.num_worst = optimizer, label_smoothing, num_worst

    def describe(self) -> dict[str, Any]:
        """The name of each class, by its number."""
        return {"id2label": {str(i): name for i, name in enumerate(self.class_names)}}

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) float32 of examples (B, ...)."""
        return self.head(self.model(self.standardize(x))).float()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over the batch."""
        logits, labels = self(batch["x"]), batch["labels"]
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        yield Update(loss=loss, metrics={"accuracy": accuracy})

    def shards(self) -> list[nn.Module]:
        """The stages of the trunk."""
        return stages(self.model)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        return {"model": self.optimizer(grouped(self.parameters()))}

    def inputs(self) -> Vectors:
        """Examples of the shape of the training."""
        return Vectors(self.feature_shape, self.feature_names)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, C) float32."""
        return self(batch["x"])

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, accuracy and macro F1; as a report also per-class table, confusion matrix, worst errors."""
        metrics, truth, probabilities, _ = judged(self, dataset, split)
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        names = [f"{split}[{row}]" for row in range(len(truth))]
        return reported(metrics, truth, probabilities, self.class_names, names, self.num_worst, "example")


def check_classes(dataset: VectorData) -> None:
    """Raises `ConfigError` unless the data set names two classes."""
    num = len(dataset.class_names)
    if not num and dataset.num_targets:
        raise ConfigError(
            "the data set has numbers to find, not classes", where="dataset",
            fix="task=vector_regression, or a data set with `labels`",
        )  # fmt: skip
    if num < 2:
        raise ConfigError(
            f"the data set names {'one class' if num else 'no classes'}, and there are to be two at least",
            where="dataset",
            fix="dataset.class_names=[the name of each label], or an attribute `classes` of your data set",
        )
