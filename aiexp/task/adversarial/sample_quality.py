"""How good and how varied generated images are, by a classifier of such images."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, final

import torch
from torch import Tensor

from aiexp.dataset.base import Dataset, ImageData
from aiexp.errors import DataError
from aiexp.ranges import Range
from aiexp.task.adversarial.frechet import frechet_distance
from aiexp.task.adversarial.inception import InceptionDistance

# Tensor letters: N images, C channels, H height, W width, D features, K classes.

KEY = "SampleQuality.classifier"
Generate = Callable[[int], Tensor]  # a number of images to (N, C, H, W) uint8
COVERED = 0.1  # of its fair share makes a class covered


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a classifier says of images.

    Args:
        features: (N, D) float32, what its trunk makes of them.
        probabilities: (N, K) float32.
    """

    features: Tensor
    probabilities: Tensor


class Classifier(Protocol):
    """Who judges images: `aiexp.runs.trained.TrainedClassifier`, or any other with these members."""

    def judge(self, images: Tensor, device: torch.device) -> Judgement:
        """Features and probabilities of (N, C, H, W) uint8 images, on the CPU."""
        ...

    def describe(self) -> dict[str, Any]:
        """Which one it is: distances are comparable only with the same one."""
        ...


@final
class SampleQuality:
    """Measures generated images against a split's real ones, as many of each.

    Metrics, by the classifier: classes_covered (classes that at least a tenth of their fair share of the
    images is taken for), largest_class_share and smallest_class_share (of the images, in [0, 1]), confidence
    (mean probability of the class an image is taken for), feature_distance (Frechet distance on the
    classifier's features: Heusel et al. 2017, eq. 6, but NOT on Inception's features, so no "FID" of a paper
    compares with it), feature_distance_real (the same between two disjoint sets of as many real images: what
    perfect samples would score), classifier_accuracy (on these real images: how far to trust the rest).
    With inception_fid, in the final evaluation: inception_fid and inception_fid_real, on its features.

    Args:
        classifier: Makes the classifier of the images of a data set, called with `dataset`; None: only what
            needs no classifier.
        num_samples: Images generated; at most half of the split's images, whose other half is needed too.
        inception_fid: Also the published FID, by the package torchmetrics; minutes on a CPU.

    Raises:
        ConfigError: a package is missing.
    """

    def __init__(
        self,
        *,
        classifier: Callable[..., Classifier] | None,
        num_samples: Annotated[int, Range(">= 2")],
        inception_fid: bool,
    ) -> None:
        self.make_classifier, self.num_samples = classifier, num_samples
        self.classifier: Classifier | None = None
        self.inception = InceptionDistance() if inception_fid else None
        self._real: dict[tuple[str, int], Judgement] = {}

    def prepare(self, dataset: ImageData) -> None:
        """Makes the classifier of these images.

        Raises:
            ConfigError: there is none for them.
        """
        if self.make_classifier is not None:
            self.classifier = self.make_classifier(dataset=dataset)

    def describe(self) -> dict[str, Any]:
        """Which classifier it is: distances are comparable only with the same one."""
        return {} if self.classifier is None else self.classifier.describe()

    def measure(
        self, generate: Generate, dataset: Dataset, split: str, device: torch.device, *, report: bool
    ) -> dict[str, float]:
        """The metrics of generated images beside real ones of a split.

        Args:
            generate: Makes the images.
            dataset: Gives the real ones.
            split: Of the data set.
            device: Where to compute.
            report: Whether this is the final evaluation.

        Raises:
            DataError: the split has too few images.
        """
        inception = self.inception if report else None
        if self.classifier is None and inception is None:
            return {}
        images, labels = two_sets(dataset, split, self.num_samples)
        half = len(images) // 2
        samples = generate(half)
        metrics: dict[str, float] = {}
        if self.classifier is not None:
            key = (split, zlib.crc32(images.contiguous().numpy().data))  # a trial evaluation sees fewer
            if key not in self._real:
                self._real[key] = self.classifier.judge(images, device)
            real, fake = self._real[key], self.classifier.judge(samples, device)
            metrics = class_metrics(fake.probabilities) | {
                "feature_distance": frechet_distance(fake.features, real.features[:half]),
                "feature_distance_real": frechet_distance(real.features[half:], real.features[:half]),
                "classifier_accuracy": (real.probabilities.argmax(1) == labels).float().mean().item(),
            }
        if inception is not None:
            metrics["inception_fid"] = inception(samples, images[:half], device)
            metrics["inception_fid_real"] = inception(images[half:], images[:half], device)
        return metrics


def class_metrics(probabilities: Tensor) -> dict[str, float]:
    """Shares of the classes and mean confidence, from (N, K) probabilities."""
    num_images, num_classes = probabilities.shape
    confidence, classes = probabilities.max(1)
    counts = torch.bincount(classes, minlength=num_classes)
    return {
        "classes_covered": float((counts * num_classes >= COVERED * num_images).sum()),
        "largest_class_share": counts.max().item() / num_images,
        "smallest_class_share": counts.min().item() / num_images,
        "confidence": confidence.mean().item(),
    }


def two_sets(dataset: Dataset, split: str, largest: int) -> tuple[Tensor, Tensor]:
    """Two disjoint sets of real images of one size, one behind the other, and their labels.

    The sets are drawn at random, always alike, since a split may be sorted by class.

    Args:
        dataset: Whose images.
        split: Of the data set.
        largest: Images in a set at most.

    Returns:
        (N, C, H, W) uint8 and (N,) int64; the first N / 2 are the first set.

    Raises:
        DataError: the split has fewer than four images.
    """
    batches = list(dataset.eval_batches(split))
    images, labels = (torch.cat([batch[key] for batch in batches]) for key in ("images", "labels"))
    size = min(largest, len(images) // 2)
    if size < 2:
        raise DataError(
            f"the split '{split}' has {len(images)} images; comparing samples with them needs at least 4",
            where="dataset", fix=f"a larger dataset.limit, or {KEY}=null",
        )  # fmt: skip
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: 2 * size]
    return images[chosen], labels[chosen]
