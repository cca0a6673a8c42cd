"""Regression on vectors and other arrays of numbers: a trunk, and one linear layer."""

from collections.abc import Iterator
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, VectorData
from aiexp.dataset.recalled import is_recalled
from aiexp.errors import ConfigError
from aiexp.model.layer.standardize import Standardize
from aiexp.prediction.network import Network
from aiexp.prediction.prediction import SHOWN_DIGITS, Prediction
from aiexp.prediction.vectors import Vectors
from aiexp.ranges import NonNegativeInt
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.batch_norm import check_batch_norm
from aiexp.task.network_parts import grouped, stages
from aiexp.task.regression.report import BETTER, regression_metrics, regression_report
from aiexp.task.report import Evaluation
from aiexp.task.vector import VectorTrunk, check_vectors, fitted, size_trunk

# Tensor letters: B batch, F features of the trunk, T targets; "..." one example.


@final
class VectorRegression(Task):
    """Finds numbers for arrays of numbers.

    Source: least squares, or Huber's loss (Huber 1964, doi 10.1214/aoms/1177703732), on a linear layer over a
    trunk; targets are brought to mean 0 and deviation 1 while learning.
    Departures: none.

    Logs: train/loss; eval/ and test/: loss (both of standardized targets), mae and rmse (in the targets' own
    unit), r2 (share of the variance that is explained; the mean over targets).

    Args:
        model: The trunk; see `VectorTrunk`.
        dataset: Batches hold `x` (B, ...) and `y`, (B,) or (B, T) float32.
        optimizer: Makes an optimizer from parameter groups.
        loss: "mse" for squared errors, "huber" for one that outliers pull less.
        standardize: Bring each number of `x` to mean 0 and deviation 1, by those of the training split.
        num_worst: Rows of the largest errors.

    Raises:
        ConfigError: the data set has no numbers to find; or a batch of one meets batch norm.
    """

    capturable = True

    def __init__(
        self,
        *,
        model: VectorTrunk,
        dataset: VectorData,
        optimizer: OptimizerFactory,
        loss: Literal["mse", "huber"],
        standardize: bool,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        check_vectors(dataset)
        if not dataset.num_targets:
            raise ConfigError(
                "the data set has no `y`: no numbers to find", where="dataset",
                fix="task=vector_classification for classes, or dataset.target_is=numbers",
            )  # fmt: skip
        self.feature_shape, self.feature_names = list(dataset.feature_shape), list(dataset.feature_names)
        size_trunk(model, self.feature_shape)
        self.normalized_rows = check_batch_norm(model, dataset)
        self.model: Any = model
        self.head = nn.Linear(model.feature_size, dataset.num_targets)
        self.standardize = Standardize(self.feature_shape)
        self.target_scale = Standardize([dataset.num_targets])
        if not is_recalled(dataset):
            self.target_scale.fit(map(as_columns, fitted(dataset, "y")))
            if standardize:
                self.standardize.fit(fitted(dataset, "x"))
        self.optimizer, self.loss, self.num_worst = optimizer, loss, num_worst

    def forward(self, x: Tensor) -> Tensor:
        """Standardized targets (B, T) float32 of examples (B, ...)."""
        return self.head(self.model(self.standardize(x))).float()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: the mean error over the batch."""
        yield Update(loss=self.error(self(batch["x"]), self.target_scale(as_columns(batch["y"]))))

    def error(self, found: Tensor, wanted: Tensor) -> Tensor:
        """() the loss of standardized targets (B, T)."""
        return F.mse_loss(found, wanted) if self.loss == "mse" else F.huber_loss(found, wanted)

    def shards(self) -> list[nn.Module]:
        """The stages of the trunk."""
        return stages(self.model)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer; weights of matrices decay, biases and norms do not."""
        return {"model": self.optimizer(grouped(self.parameters()))}

    def inputs(self) -> Vectors:
        """Examples of the shape of the training."""
        return Vectors(self.feature_shape, self.feature_names)

    def values(self, x: Tensor) -> Tensor:
        """(B, T) float32, in the targets' own unit."""
        return self.target_scale.undo(self(x))

    def predict(self, batch: Any) -> list[Prediction]:
        """The number, or the list of them, for each example."""
        found: list[list[float]] = self.values(batch["x"]).tolist()
        return [
            Prediction(
                line="  ".join(f"{y:.{SHOWN_DIGITS}f}" for y in row),
                values={"y": row[0] if len(row) == 1 else row},
            )
            for row in found
        ]

    def networks(self) -> dict[str, Network]:
        """What `predict` asks, as one network."""
        text = "numbers (batch, targets) in their own unit"
        return {
            "regression": Network(
                module=Values(self), inputs=self.inputs().ports(), outputs=("y",), text=text
            )
        }

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, errors in the targets' unit, explained variance; as a report also a picture and a table."""
        parts: list[tuple[Tensor, Tensor]] = []
        for batch in self.dealt(dataset, split):
            parts.append((self(self.to_device(batch["x"])).cpu(), as_columns(batch["y"])))
        found, truth = (torch.cat(tensors) for tensors in zip(*self.gathered(parts), strict=True))
        scale = Standardize([truth.shape[1]])
        scale.load_state_dict({name: value.cpu() for name, value in self.target_scale.state_dict().items()})
        loss = self.error(found, scale(truth)).item()
        metrics = {"loss": loss, **regression_metrics(truth, scale.undo(found))}
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        picture, table = regression_report(truth, scale.undo(found), split, self.num_worst)
        return Evaluation(
            metrics=metrics, better=BETTER, pictures={"predictions": picture.png},
            pdfs={"predictions": picture.pdf}, tables={"worst_errors": table},
        )  # fmt: skip


class Values(nn.Module):
    """A task's `values` as a network."""

    def __init__(self, task: VectorRegression) -> None:
        super().__init__()
        self.task = task

    def forward(self, x: Tensor) -> Tensor:
        """(B, T) float32."""
        return self.task.values(x)


def as_columns(y: Tensor) -> Tensor:
    """(B, T) float32 of (B,) or (B, ...)."""
    return y.float().reshape(len(y), -1)
