"""Numbers found from numbers: learned in their own unit, judged by known values."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.array.dataset import ArrayDataset
from aiexp.errors import ConfigError
from aiexp.model.vector.mlp import VectorMlp
from aiexp.task.regression.report import regression_metrics
from aiexp.task.regression.vector import VectorRegression
from aiexp.world.world import World
from tests.task.classification.test_vector import Normed, blobs
from tests.task.learning import losses


def lines(num_targets: int = 1, unit: float = 1.0, batch_size: int = 16) -> ArrayDataset:
    """Targets far from 0, in another unit than the inputs; both times `unit`."""
    x = np.random.default_rng(0).normal(size=(120, 3))
    y = 1e4 + 500 * np.stack([x.sum(1), x[:, 0] - x[:, 1]], 1)[:, :num_targets]
    settings: dict[str, Any] = {
        "batch_size": batch_size, "eval_batch_size": 50, "drop_last": False, "limit": None, "seed": 0
    }  # fmt: skip
    return ArrayDataset(
        arrays={"x": x * unit, "y": (y[:, 0] if num_targets == 1 else y) * unit},
        eval_fraction=0.1,
        test_fraction=0.3,
        **settings,
    )


def make(dataset: Any = None, **changes: Any) -> tuple[VectorRegression, ArrayDataset]:
    seed_everything(0)
    dataset = dataset or lines()
    settings: dict[str, Any] = {
        "model": VectorMlp(hidden_sizes=[32], dropout=0.0),
        "optimizer": lambda groups: torch.optim.Adam(groups, lr=1e-2),
        "loss": "mse", "standardize": True, "num_worst": 5,
    }  # fmt: skip
    return VectorRegression(dataset=dataset, **(settings | changes)), dataset


@pytest.mark.parametrize("num_targets", [1, 2])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_learns_and_answers_in_the_unit_of_the_targets(num_targets: int, loss: str) -> None:
    task, dataset = make(lines(num_targets), loss=loss)
    losses(task, dataset.train_batches(0), 150)
    task.eval()
    with torch.inference_mode():
        result = task.evaluate(dataset, "test", report=True)
        answers = task.predict({"x": dataset.arrays("test")["x"]})
        found = task.networks()["regression"].module(dataset.arrays("test")["x"])
    assert result.metrics["r2"] > 0.9
    assert result.metrics["rmse"] < 250
    truth = dataset.arrays("test")["y"].reshape(-1, num_targets)
    assert result.metrics["mae"] == pytest.approx((found - truth).abs().mean().item(), rel=1e-4)
    first = answers[0].values["y"]
    assert (first if num_targets > 1 else [first]) == pytest.approx(found[0].tolist())
    worst = result.tables["worst_errors"].rows
    assert abs(worst[0][3] - worst[0][2]) == pytest.approx((found - truth).abs().max().item(), rel=1e-3)
    assert result.pdfs["predictions"].startswith(b"%PDF")


def test_tiny_numbers_are_learned_as_well() -> None:
    task, dataset = make(lines(unit=1e-12))
    losses(task, dataset.train_batches(0), 150)
    task.eval()
    with torch.inference_mode():
        assert task.evaluate(dataset, "test").metrics["r2"] > 0.9


def test_metrics_are_those_of_the_books() -> None:
    truth, found = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [6.0]])
    assert regression_metrics(truth, found) == pytest.approx({"mae": 1.0, "rmse": 3**0.5, "r2": 1 - 9 / 2})
    mean = torch.full((3, 1), 2.0)
    assert regression_metrics(truth, mean)["r2"] == 0
    assert (
        regression_metrics(mean, truth)["r2"] != regression_metrics(mean, truth)["r2"]
    )  # nothing to explain


def test_batch_norm_needs_two_examples() -> None:
    data = lines(batch_size=71)
    with pytest.raises(ConfigError, match=r"72 = 1 x 71 \+ 1\) has one example, and BatchNorm1d has batch"):
        make(data, model=nn.BatchNorm1d(3))
    task, _ = make(lines(batch_size=12), model=Normed(3))
    task.join(World(0, 6))
    with pytest.raises(ConfigError, match="12 examples leaves one for a rank of 7"):
        task.join(World(0, 7))


def test_classes_are_for_another_task() -> None:
    with pytest.raises(ConfigError, match="has no `y`"):
        make(blobs())
