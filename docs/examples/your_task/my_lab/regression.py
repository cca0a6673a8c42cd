"""A task of our own: predict one number from a row of numbers."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.ranges import PositiveFloat, PositiveInt
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.report import Evaluation


class Mlp(nn.Module):
    """Two layers and one number: (B, features) to (B,)."""

    def __init__(self, *, num_features: PositiveInt, width: PositiveInt) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_features, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class Regression(Task):
    """Huber loss on the number; judged by the mean absolute error and by R2."""

    def __init__(
        self, *, model: nn.Module, dataset: Any, optimizer: OptimizerFactory, delta: PositiveFloat
    ) -> None:
        super().__init__()
        self.model, self.optimizer, self.delta = model, optimizer, delta

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        loss = F.huber_loss(self.model(batch["x"]).float(), batch["y"], delta=self.delta)
        yield Update(loss=loss)  # when this returns, the step has been taken

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": self.optimizer(self.parameters())}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        batches = [self.to_device(batch) for batch in dataset.eval_batches(split)]
        predicted = torch.cat([self.model(batch["x"]).float() for batch in batches])
        truth = torch.cat([batch["y"] for batch in batches])
        error = predicted - truth
        r2 = 1 - error.square().sum() / (truth - truth.mean()).square().sum()
        metrics = {"mae": error.abs().mean().item(), "r2": r2.item()}
        return Evaluation(metrics=metrics, better={"mae": "min", "r2": "max"})
