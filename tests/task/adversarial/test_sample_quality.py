"""Distances and shares against known values, and what a classifier makes of samples."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from aiexp.errors import ConfigError, DataError
from aiexp.runs.trained import TrainedClassifier
from aiexp.task.adversarial.frechet import frechet_distance
from aiexp.task.adversarial.sample_quality import SampleQuality, class_metrics, two_sets
from tests.runs.classification_run import make_run
from tests.task.images import stripes

CPU = torch.device("cpu")
NAMES = {
    "classes_covered", "largest_class_share", "smallest_class_share", "confidence", "feature_distance",
    "feature_distance_real", "classifier_accuracy",
}  # fmt: skip


def gaussian(mean: list[float], deviation: list[float]) -> torch.Tensor:
    """(4, 2) vectors with exactly this mean and these deviations, without correlation."""
    corners = torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * (3 / 4) ** 0.5
    return torch.tensor(mean) + corners * torch.tensor(deviation)


def test_distance_in_closed_form() -> None:
    """Without correlation: the squared differences of the means and of the deviations, added up."""
    first, second = gaussian([0.0, 5.0], [1.0, 2.0]), gaussian([3.0, 4.0], [2.0, 7.0])
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 1 + 25, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(36, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 2) == pytest.approx(8, rel=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_distance_by_the_formula_of_the_paper() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(0)
    sets = [random.normal(size=(200, 5)) @ random.normal(size=(5, 5)) + k for k in (0, 1)]
    means, covariances = [s.mean(0) for s in sets], [np.cov(s.T) for s in sets]
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    found = frechet_distance(torch.tensor(sets[0]), torch.tensor(sets[1]))
    assert found == pytest.approx(expected, rel=1e-8)


def test_features_that_never_vary() -> None:
    vectors = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    dead = torch.cat([vectors, torch.zeros(50, 4)], 1)
    assert frechet_distance(dead, dead + 1) == pytest.approx(7, rel=1e-5)
    with pytest.raises(DataError, match="at least two"):
        frechet_distance(dead[:1], dead)


def test_shares_of_classes() -> None:
    counts = [40, 30, 20, 9, 1, 0, 0, 0, 0, 0]  # of ten classes a tenth of the fair share is 1 in 100
    classes = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
    probabilities = torch.nn.functional.one_hot(classes, 10) * 0.5 + 0.05
    metrics = class_metrics(probabilities)
    assert metrics["classes_covered"] == 5
    assert metrics["largest_class_share"] == pytest.approx(0.4)
    assert metrics["smallest_class_share"] == 0
    assert metrics["confidence"] == pytest.approx(0.55)
    assert class_metrics(torch.eye(3))["smallest_class_share"] == pytest.approx(1 / 3)


def test_two_sets_of_real_images() -> None:
    dataset = stripes()
    images, labels = two_sets(dataset, "train", 1000)
    assert len(images) == len(labels) == 48
    assert len(two_sets(dataset, "train", 10)[0]) == 20
    assert len(two_sets(dataset, "eval", 10)[0]) == 14, "half of 15, twice"
    again, _ = two_sets(dataset, "train", 1000)
    assert torch.equal(images, again)
    everything = sorted(i.numpy().tobytes() for i in dataset.images("train"))
    assert sorted(i.numpy().tobytes() for i in images) == everything, "each once"
    assert labels[:24].bincount().min() > 0, "mixed"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of mnist_cnn on stripes."""
    return make_run(tmp_path_factory.mktemp("runs"), stripes(image_size=28))


def quality(run: Path | None, num_samples: int = 24) -> SampleQuality:
    classifier = None if run is None else partial(TrainedClassifier, run=str(run))
    return SampleQuality(classifier=classifier, num_samples=num_samples, inception_fid=False)


def test_real_images_score_as_real_ones_do_and_noise_does_not(run: Path) -> None:
    dataset, judge = stripes(image_size=28), quality(run)
    judge.prepare(dataset)
    with torch.inference_mode():
        real = judge.measure(lambda n: dataset.images("train")[:n], dataset, "train", CPU, report=False)
        noise = torch.randint(256, (24, 1, 28, 28)).byte()
        bad = judge.measure(lambda n: noise[:n], dataset, "train", CPU, report=True)
    assert set(real) == set(bad) == NAMES
    assert real["classes_covered"] == 3
    assert real["classifier_accuracy"] > 0.9
    assert bad["feature_distance_real"] == real["feature_distance_real"] > 0
    assert bad["feature_distance"] > 10 * real["feature_distance_real"]
    assert real["feature_distance"] < 3 * real["feature_distance_real"]
    assert bad["largest_class_share"] > real["largest_class_share"]
    assert set(judge.describe()) == {"classifier", "classifier_sha256"}


def test_as_many_samples_are_made_as_there_are_real_images_in_a_set(run: Path) -> None:
    dataset, judge, asked = stripes(image_size=28), quality(run, 1000), list[int]()
    judge.prepare(dataset)

    def generate(count: int) -> torch.Tensor:
        asked.append(count)
        return dataset.images("train")[:count]

    judge.measure(generate, dataset, "eval", CPU, report=False)
    assert asked == [7]


def test_without_a_classifier_nothing_is_measured() -> None:
    judge = quality(None)
    judge.prepare(stripes())
    assert judge.measure(lambda n: torch.zeros(n, 1, 20, 20), stripes(), "eval", CPU, report=True) == {}
    assert judge.describe() == {}


def test_too_few_images(run: Path) -> None:
    judge = quality(run)
    dataset = stripes(image_size=28, num=3)
    judge.prepare(dataset)
    with pytest.raises(DataError, match="has 3 images"):
        judge.measure(lambda n: torch.zeros(n, 1, 28, 28), dataset, "train", CPU, report=False)


def test_the_fid_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchmetrics", "torchmetrics.image", "torchmetrics.image.fid"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        SampleQuality(classifier=None, num_samples=10, inception_fid=True)
    assert "pip install 'aiexp[fid]'" in caught.value.fix
