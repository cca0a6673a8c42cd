"""A task of our own: not one number, but an interval that it lies in."""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from aiexp.ranges import Length, PositiveInt, Probability
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.report import Evaluation


class QuantileMlp(nn.Module):
    """Two layers: (B, features) to a number for each level (B, levels)."""

    def __init__(self, *, num_features: PositiveInt, num_levels: PositiveInt, width: PositiveInt) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_features, width), nn.ReLU(), nn.Linear(width, num_levels))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Quantiles(Task):
    """Numbers that the truth is below with given probabilities, by the pinball loss."""

    def __init__(
        self,
        *,
        model: nn.Module,
        dataset: Any,
        optimizer: OptimizerFactory,
        levels: Annotated[list[Probability], Length(">= 2")],
    ) -> None:
        super().__init__()
        self.model, self.optimizer = model, optimizer
        self.register_buffer("levels", torch.tensor(levels))

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        error = truth[:, None] - predicted.float()
        return torch.maximum(self.levels * error, (self.levels - 1) * error).mean()

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        yield Update(loss=self.loss(self.model(batch["x"]), batch["y"]))
        # When this goes on, the step has been taken.

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": self.optimizer(self.parameters())}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        batches = [self.to_device(batch) for batch in dataset.eval_batches(split)]
        predicted = torch.cat([self.model(batch["x"]).float() for batch in batches])
        truth = torch.cat([batch["y"] for batch in batches])
        low, high = predicted[:, 0], predicted[:, -1]
        metrics = {
            "pinball": self.loss(predicted, truth).item(),
            "covered": ((truth >= low) & (truth <= high)).float().mean().item(),
            "width": (high - low).mean().item(),
        }
        return Evaluation(metrics=metrics, better={"pinball": "min"})
