"""Prototypical networks: distances by hand, every episode on its own, learning, and what does not fit."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aiexp.checkpoint.state import seed_everything
from aiexp.errors import ConfigError
from aiexp.model.few_shot.conv4 import Conv4
from aiexp.task.few_shot.protonet import ProtoNet, prototypes, squared_distances
from tests.task.episodes import episodes
from tests.task.few_shot.test_maml import waves

ADAM = partial(torch.optim.Adam, lr=5e-3)


def make(**changes: Any) -> ProtoNet:
    seed_everything(0)
    settings: dict[str, Any] = {
        "model": Conv4(channels=1, image_size=16, filters=8, halving="pool"),
        "dataset": episodes(),
        "optimizer": ADAM,
    }
    return ProtoNet(**(settings | changes))


def test_prototypes_and_distances_by_hand() -> None:
    features = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [2.0, 2.0], [4.0, 2.0]]])
    centres = prototypes(features, torch.tensor([[0, 1, 0, 1]]), 2)
    assert centres.tolist() == [[[1.0, 1.0], [4.0, 1.0]]]
    points = torch.tensor([[[1.0, 1.0], [4.0, 5.0]]])
    assert squared_distances(points, centres).tolist() == [[[0.0, 9.0], [25.0, 16.0]]]


class Plain(nn.Module):
    """The two brightest corners as features."""

    feature_size = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, 0, 0, 0], images[:, 0, -1, -1]], 1) * self.scale


def test_loss_by_hand() -> None:
    task = make(model=Plain())
    images = torch.zeros(1, 4, 1, 2, 2)
    for number, (first, last) in enumerate([(0.0, 0.0), (1.0, 0.0), (0.0, 0.5), (1.0, 1.0)]):
        images[0, number, 0, 0, 0], images[0, number, 0, 1, 1] = first, last
    labels = torch.tensor([[0, 1]])
    task.ways = 2
    batch = {"support_x": images[:, :2], "support_y": labels, "query_x": images[:, 2:], "query_y": labels}
    update = next(task.train_step(batch))
    # Squared distances: 0.25 and 1.25 for the first, 2 and 1 for the second; each true class is nearer by 1.
    assert update.loss.item() == pytest.approx(torch.log1p(torch.exp(torch.tensor(-1.0))).item())
    assert update.metrics["accuracy"] == 1


def test_an_episode_knows_nothing_of_the_others() -> None:
    task = make()
    batch = next(episodes().train_batches(0))
    together = task.scores(batch)
    for i in range(3):
        alone = task.scores({k: v[i : i + 1] for k, v in batch.items()})
        assert torch.allclose(alone[0], together[i], atol=1e-4)


def test_learns_and_is_right_about_unseen_classes() -> None:
    task, data = make(), episodes(ways=3, shots=1, queries=3)
    (optimizer,) = task.make_optimizers().values()
    batches = data.train_batches(0)
    losses: list[float] = []
    for _ in range(25):
        optimizer.zero_grad()
        update = next(task.train_step(next(batches)))
        update.loss.backward()
        optimizer.step()
        losses.append(update.loss.item())
    assert losses[-1] < losses[0] / 2
    with torch.inference_mode():
        evaluation = task.eval().evaluate(data, "test", report=True)
    assert evaluation.metrics["accuracy"] > 0.9
    assert set(evaluation.metrics) == {"accuracy", "accuracy_interval", "loss"}
    assert set(evaluation.pictures) == {"episode"}


def test_evaluation_counts_the_hits() -> None:
    task, data = make(), episodes()
    with torch.inference_mode():
        metrics = task.evaluate(data, "eval").metrics
        hits: list[float] = []
        for batch in data.eval_batches("eval"):
            answers = task.scores(batch).argmax(-1)
            hits += (answers == batch["query_y"]).float().mean(1).tolist()
    assert len(hits) == 10
    assert metrics["accuracy"] == pytest.approx(sum(hits) / 10)
    half = 1.959964 * torch.tensor(hits).std().item() / 10**0.5
    assert metrics["accuracy_interval"] == pytest.approx(half, rel=1e-4)


def test_needs_classes() -> None:
    with pytest.raises(ConfigError) as caught:
        make(dataset=waves())
    assert caught.value.where == "dataset"
    assert "\n" not in caught.value.line()
