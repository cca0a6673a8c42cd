"""Few-shot classification by the nearest class mean in a learned space: prototypical networks."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap  # pyright: ignore[reportUnknownVariableType]

from aiexp.dataset.base import Dataset, FewShotData
from aiexp.errors import ConfigError
from aiexp.prediction.network import Network
from aiexp.prediction.prediction import Prediction, classified
from aiexp.prediction.support import SupportedPictures
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.few_shot.encoder import beside_support, encoder, image_shape
from aiexp.task.few_shot.maml import FewShotModel
from aiexp.task.few_shot.report import episode_picture, mean_with_interval
from aiexp.task.report import Evaluation

# Tensor letters: M episodes of a batch, K support examples, Q query examples, D width of the features.


@final
class ProtoNet(Task):
    """The class whose mean of encoded examples (the prototype) is nearest.

    Source: Snell et al. 2017 (arXiv 1703.05175): equations 1 and 2, algorithm 1, squared Euclidean distance.
    Departures: each episode is encoded as one batch, given and asked examples together; with an encoder that
    normalises by the batch its statistics are those of the episode, in evaluation too. As many ways in
    training as in evaluation unless `dataset.ways` is changed; the paper trains with more.

    Logs: train/loss, train/accuracy. eval/ and test/: accuracy, accuracy_interval (half the width of the 95 %
    interval over the episodes), loss.

    Args:
        model: Encoder of images with `feature_size`.
        dataset: Batches of episodes; see `aiexp.dataset.few_shot.dataset`.
        optimizer: Of the encoder.

    Raises:
        ConfigError: the data are no episodes of classes.
    """

    capturable = True

    def __init__(self, *, model: FewShotModel, dataset: FewShotData, optimizer: OptimizerFactory) -> None:
        super().__init__()
        self.ways = dataset.ways
        if not self.ways:
            raise ConfigError(
                "prototypes are those of classes, and the data have none", where="dataset",
                fix="dataset=glyphs or dataset=omniglot",
            )  # fmt: skip
        self.image_shape = image_shape(dataset)
        self.model: Any = model
        self.optimizer = optimizer

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update of the encoder."""
        scores = self.scores(batch)
        loss = F.cross_entropy(scores.flatten(0, 1), batch["query_y"].flatten())
        accuracy = (scores.detach().argmax(-1) == batch["query_y"]).float().mean()
        yield Update(loss=loss, metrics={"accuracy": accuracy})

    def scores(self, batch: dict[str, Tensor]) -> Tensor:
        """(M, Q, ways) float32: minus the squared distance of each query example to each prototype."""
        support, query = batch["support_x"], batch["query_x"]
        features: Tensor = vmap(self.model)(torch.cat([support, query], 1)).float()  # (M, K + Q, D)
        with self.in_float32():
            given, asked = features.split([support.shape[1], query.shape[1]], 1)
            return -squared_distances(asked, prototypes(given, batch["support_y"], self.ways))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the scores, which map the encoder over episodes."""
        self.scores = torch.compile(self.scores, *args, **kwargs)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One, over the encoder."""
        return {"model": self.optimizer(self.model.parameters())}

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Every episode of a split."""
        parts: list[tuple[Tensor, Tensor]] = []
        pictures: dict[str, bytes] = {}
        for batch in self.dealt(dataset, split):
            batch = self.to_device(batch)
            scores, truth = self.scores(batch), batch["query_y"]
            hits = (scores.argmax(-1) == truth).float().mean(1)
            losses = F.cross_entropy(scores.flatten(0, 1), truth.flatten(), reduction="none")
            parts.append((hits.cpu(), losses.cpu()))
            if report and not pictures:
                pictures["episode"] = episode_picture(batch, scores[0].argmax(-1), self.ways)
        hits, losses = (torch.cat(tensors) for tensors in zip(*self.gathered(parts), strict=True))
        metrics = mean_with_interval("accuracy", hits) | {"loss": losses.mean().item()}
        return Evaluation(metrics=metrics, better={"accuracy": "max", "loss": "min"}, pictures=pictures)

    def inputs(self) -> SupportedPictures:
        """Pictures of any number of classes, of which a few are given."""
        return SupportedPictures(*self.image_shape, ways=None)

    def predict(self, batch: dict[str, Any]) -> list[Prediction]:
        """The class of the nearest prototype.

        Each picture is an episode of its own, so that it does not depend on what else is asked.
        """
        names: list[str] = batch["class_names"]
        features: Tensor = vmap(self.model)(beside_support(batch)).float()  # (Q, K + 1, D)
        with self.in_float32():
            labels = batch["support_y"].expand(len(features), -1)
            given = prototypes(features[:, :-1], labels, len(names))
            scores = -squared_distances(features[:, -1:], given)[:, 0]
        return classified(scores.softmax(1), names)

    def networks(self) -> dict[str, Network]:
        """The encoder."""
        return {"encoder": encoder(self.model, *self.image_shape)}

    def in_float32(self) -> AbstractContextManager[Any]:
        """A context without the trainer's lower precision."""
        return torch.autocast(self.device.type, enabled=False)


def prototypes(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """(M, ways, D) the mean of the features (M, K, D) of each class; labels (M, K) int64."""
    members = F.one_hot(labels, ways).to(features.dtype)  # (M, K, ways)
    return members.transpose(1, 2) @ features / members.sum(1)[..., None]


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """(M, Q, ways) squared Euclidean distances of points (M, Q, D) to centres (M, ways, D)."""
    return (points[:, :, None] - centres[:, None]).square().sum(-1)
