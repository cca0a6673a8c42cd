"""Image classification: a trunk that makes one vector of an image, and one linear layer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, ImageData
from aiexp.dataset.recalled import is_recalled
from aiexp.errors import ConfigError
from aiexp.prediction.pictures import PictureInputs
from aiexp.ranges import NonNegativeInt, Share
from aiexp.task.base import OptimizerFactory, Task, Update
from aiexp.task.batch_norm import check_batch_norm
from aiexp.task.classification.augmentation import Augmentation
from aiexp.task.classification.mixing import Mixing
from aiexp.task.classification.report import BETTER, error_captions, find_worst, judged, reported
from aiexp.task.classification.trunk import Trunk
from aiexp.task.network_parts import stages
from aiexp.task.picture_grid import picture_grid
from aiexp.task.report import Evaluation

# Tensor letters: B batch, C channels, H height, W width, D features, K classes.

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
GRID_COLUMNS = 8


@final
class ImageClassification(Task):
    """Tells classes of images apart.

    Source: cross entropy on a linear layer over a trunk; label smoothing, Szegedy et al. 2015
    (arXiv 1512.00567, section 7); averaging an image with its mirror, Krizhevsky et al. 2012, section 4.1.
    Departures: none.

    Logs: train/loss, train/accuracy (of an image's own label, also where images are mixed); eval/ and test/:
    loss (without smoothing), accuracy, macro_f1 (unweighted mean over classes).

    Args:
        model: Any network that makes logits (B, K) of normalised images (B, C, H, W); or a trunk, which has
            an attribute `feature_size` D and makes vectors (B, D), on which a linear layer is put. One with
            `whiten(images)` can have its first layer set from data.
        dataset: An image data set.
        optimizer: Makes an optimizer from parameter groups.
        trunk: How the trunk starts and learns.
        augmentation: Random changes of training images.
        mixing: Random mixtures of training images and their labels.
        label_smoothing: Probability mass spread over all classes, in [0, 1).
        normalization: Whose mean and standard deviation of the pixels to use: those of the "dataset", or of
            "imagenet" for trunks pretrained on it.
        test_flip: In evaluations, average the logits of an image and of its mirror image.
        num_worst: Rows and pictures of the most confident errors.

    Raises:
        ConfigError: the model makes something else, or cannot whiten; or a batch of one meets batch norm.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        dataset: ImageData,
        optimizer: OptimizerFactory,
        trunk: Trunk,
        augmentation: Augmentation,
        mixing: Mixing,
        label_smoothing: Share,
        normalization: Literal["dataset", "imagenet"],
        test_flip: bool,
        num_worst: NonNegativeInt,
    ) -> None:
        super().__init__()
        self.normalized_rows = check_batch_norm(model, dataset)
        self.model: Any = model
        self.class_names: list[str] = dataset.class_names
        self.image_shape = dataset.image_size, dataset.channels
        self.head = make_head(self.model, self.image_shape, len(self.class_names))
        self.optimizer, self.trunk, self.augmentation, self.mixing = optimizer, trunk, augmentation, mixing
        self.label_smoothing, self.test_flip, self.num_worst = label_smoothing, test_flip, num_worst
        self.scale: Tensor
        self.shift: Tensor
        scale, shift = normalizer(normalization, dataset)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        if trunk.frozen_epochs and isinstance(self.head, nn.Identity):
            what = f"{type(model).__name__} has its own last layer: all of it would be frozen"
            raise ConfigError(what, where="trunk.frozen_epochs", fix="trunk.frozen_epochs=0")
        self.frozen_batches = round(trunk.frozen_epochs * dataset.batches_per_epoch())
        self.num_batches = 0  # of training, so far
        self.is_frozen = self.frozen_batches > 0  # only the head learns
        if trunk.whitening_examples and not is_recalled(dataset):
            self.whiten(dataset)

    def describe(self) -> dict[str, Any]:
        """The name of each class, by its number."""
        return {"id2label": {str(i): name for i, name in enumerate(self.class_names)}}

    def whiten(self, dataset: Any) -> None:
        """Sets the model's first layer from images taken evenly over the training split."""
        whiten = getattr(self.model, "whiten", None)
        if whiten is None:
            raise ConfigError(
                f"{type(self.model).__name__} has no layer that whitens",
                where="trunk.whitening_examples", fix="trunk.whitening_examples=0",
            )  # fmt: skip
        images = dataset.images("train")  # perhaps decoded only when rows are taken
        count = min(self.trunk.whitening_examples, len(images))
        chosen = torch.arange(count) * len(images) // count
        whiten(self.normalize(images[chosen]))

    def normalize(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float32, channels last, with mean 0 and deviation 1, of uint8."""
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(self.shift, pixels, self.scale)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) float32 of normalised images (B, C, H, W)."""
        if self.training and self.is_frozen:
            with torch.no_grad():
                features = self.model(images)  # (B, D)
        else:
            features = self.model(images)
        return self.head(features).float()

    def train(self, mode: bool = True) -> "ImageClassification":
        """Training or evaluation mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        self.is_frozen = self.num_batches < self.frozen_batches
        if mode and self.is_frozen:
            self.model.eval()
        return self

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update: cross entropy over the batch."""
        if self.num_batches == self.frozen_batches > 0:
            self.train(self.training)  # the trunk begins to learn
        labels, seeds = batch["labels"], batch["seeds"]
        images = self.normalize(self.augmentation(batch["images"], seeds))
        targets = labels
        if self.mixing.is_active:
            images, targets = self.mixing(images, F.one_hot(labels, len(self.class_names)).float(), seeds)
        logits = self(images)
        self.num_batches += 1
        self.is_frozen = self.num_batches < self.frozen_batches
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        yield Update(loss=loss, metrics={"accuracy": accuracy})

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph may record a step: not before the trunk has begun to learn."""
        return not self.frozen_batches or self.num_batches > self.frozen_batches

    def shards(self) -> list[nn.Module]:
        """The stages of the trunk."""
        return stages(self.model)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer, which also holds a frozen trunk: without gradients it is passed over."""
        return {"model": self.optimizer(self.trunk.parameter_groups(self.model, self.head))}

    def extra_state(self) -> dict[str, Any]:
        """The number of training batches, which says whether the trunk is frozen."""
        return {"num_batches": self.num_batches}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restores what `extra_state` returned."""
        self.num_batches = state["num_batches"]
        self.train(self.training)

    def inputs(self) -> PictureInputs:
        """Pictures of the size and the channels of the training."""
        return PictureInputs(*self.image_shape)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, K) float32 of uint8 images, averaged with those of their mirror images if asked for."""
        normalized = self.normalize(batch["images"])
        if not self.test_flip:
            return self(normalized)
        return (self(normalized) + self(normalized.flip(3))) / 2

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Loss, accuracy and macro F1; as a report also per-class table, confusion matrix, worst errors."""
        metrics, truth, probabilities, index = judged(self, dataset, split)
        if not report:
            return Evaluation(metrics=metrics, better=BETTER)
        data: Any = dataset
        names: Sequence[str] = data.names(split)
        shown = [names[int(i)] for i in index]
        evaluation = reported(metrics, truth, probabilities, self.class_names, shown, self.num_worst, "image")
        worst = find_worst(truth, probabilities, self.num_worst)
        if not len(worst):
            return evaluation
        images = data.images(split)[index[torch.from_numpy(worst)]]
        captions = error_captions(truth, probabilities, self.class_names, worst)
        pictures = {**evaluation.pictures, "worst_errors": picture_grid(images, GRID_COLUMNS, captions)}
        return replace(evaluation, pictures=pictures)


def make_head(model: Any, image_shape: tuple[int, int], num_classes: int) -> nn.Module:
    """The linear layer on a trunk's vectors; nothing after a network that makes logits itself.

    Args:
        model: Without `feature_size` it is tried out on two black images.
        image_shape: Height and width in pixels, and channels.
        num_classes: K.

    Raises:
        ConfigError: it makes something else, or cannot be called on images.
    """
    if hasattr(model, "feature_size"):
        return nn.Linear(model.feature_size, num_classes)
    size, channels = image_shape
    name, is_training = type(model).__name__, model.training
    wanted = f"logits (2, {num_classes}) of images (2, {channels}, {size}, {size}) float32"
    fix = f"return logits of {num_classes} classes, or vectors (B, D) and have an attribute feature_size = D"
    try:
        with torch.no_grad():
            made = model.eval()(torch.zeros(2, channels, size, size))
    except Exception as error:  # whatever somebody else's network makes of images
        what = f"{name} cannot be called on images: {type(error).__name__}: {str(error).splitlines()[0]}"
        raise ConfigError(what, where="model", fix=f"it is to make {wanted}") from error
    finally:
        model.train(is_training)
    if not isinstance(made, Tensor) or made.shape != (2, num_classes):
        shape = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise ConfigError(f"{name} makes {shape}, not {wanted}", where="model", fix=fix)
    return nn.Identity()


def normalizer(normalization: Literal["dataset", "imagenet"], dataset: ImageData) -> tuple[Tensor, Tensor]:
    """Factor and offset (1, C, 1, 1) float32 by which a uint8 pixel is normalised.

    Raises:
        ConfigError: grey images with the statistics of colours.
    """
    mean, std = dataset.mean, dataset.std
    if normalization == "imagenet":
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    if len(mean) != dataset.channels:
        raise ConfigError(
            f"images have {dataset.channels} channel(s), normalization {normalization} is for {len(mean)}",
            where="normalization", fix="dataset.channels=3, or normalization=dataset",
        )  # fmt: skip
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (mean, std))
    std = std.clamp(min=1e-3)  # images of a single colour
    return (1 / (255 * std)).float(), (-mean / std).float()
