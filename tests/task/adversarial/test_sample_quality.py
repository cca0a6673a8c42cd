"""Distances and shares against known values; the classifier that judges, and where it comes from."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from aiexp.checkpoint.state import seed_everything
from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.build import build
from aiexp.config.compose import compose
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.errors import ConfigError, DataError, SecurityError
from aiexp.rundir.directory import RunDirectory
from aiexp.runs.trained import TrainedClassifier
from aiexp.task.adversarial.frechet import frechet_distance
from aiexp.task.adversarial.sample_quality import SampleQuality, class_metrics, two_sets
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"), stripes(image_size=28))


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of mnist_cnn on stripes."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "run"))


def config_of(*words: str) -> tuple[dict[str, Any], dict[str, str]]:
    # Those of `stripes`; a classifier judges only pixels normalised as its own were.
    statistics = ["dataset.mean=[0.5]", "dataset.std=[0.25]"]
    composed = compose([*words, *statistics, "tracker=none"])
    config: Any = OmegaConf.to_container(composed.config, resolve=True)
    return config, composed.choices


def make_run(parent: Path, dataset: ImageDataset) -> Path:
    directory = RunDirectory.create(parent, "")
    config, choices = config_of("task=mnist_cnn")
    directory.write_config(config, choices, [])
    seed_everything(3)
    task = build(config["task"], model=build(config["model"]), dataset=dataset)
    optimizer = task.make_optimizers()["model"]
    for _, batch in zip(range(25), dataset.train_batches(0), strict=False):
        (update,) = task.train_step(batch)
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()
    CheckpointStore(directory.path / "checkpoints").save(7, task.state_dict(), {})
    directory.write_environment(task=task.describe())
    directory.write_status(state="finished")
    return directory.path


def quality(run: Path | str | None, num_samples: int = 24) -> SampleQuality:
    return SampleQuality(
        classifier=None if run is None else str(run), num_samples=num_samples, inception_fid=False
    )


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


def test_loading_a_classifier_draws_nothing_and_leaves_nothing_to_learn(run: Path) -> None:
    before = torch.get_rng_state()
    classifier = TrainedClassifier(run, stripes(image_size=28))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in classifier.task.parameters())
    assert not classifier.task.training


def edit(run: Path, **changes: Any) -> None:
    """Changes of the run's config by dotted key, __ for the dot."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in changes.items():
        node = config
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def test_other_images(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset.image_size=28, these images have 32") as caught:
        TrainedClassifier(run, stripes(image_size=32))
    assert str(run) in caught.value.where
    with pytest.raises(ConfigError, match=r"dataset.channels=1, these images have 3"):
        TrainedClassifier(run, stripes(image_size=28, channels=3))
    dataset = stripes(image_size=28)
    dataset.mean = [0.1]
    with pytest.raises(ConfigError, match=r"dataset.mean=\[0.5\], this data set has \[0.1\]"):
        TrainedClassifier(run, dataset)
    dataset = stripes(image_size=28)
    dataset.class_names = ["a", "b", "c"]
    with pytest.raises(ConfigError, match="other classes apart: across, down, slanted"):
        TrainedClassifier(run, dataset)
    edit(run, model__image_size=32)
    with pytest.raises(ConfigError, match="weights do not fit"):
        TrainedClassifier(run, stripes(image_size=28))


def test_what_is_no_run_of_image_classification(run: Path, tmp_path: Path) -> None:
    dataset = stripes(image_size=28)
    with pytest.raises(ConfigError, match="no such run directory") as caught:
        TrainedClassifier(tmp_path / "nowhere", dataset)
    assert caught.value.where.startswith("task.quality.classifier=")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="not a run directory"):
        TrainedClassifier(tmp_path / "empty", dataset)
    weights = run / "checkpoints/step-00000007/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ConfigError, match="damaged"):
        TrainedClassifier(run, dataset)
    RunDirectory(run).write_config(*config_of("task=dcgan"), [])
    with pytest.raises(ConfigError, match="a run of GAN, not of image classification"):
        TrainedClassifier(run, dataset)


def test_a_run_of_someone_else_runs_no_code(run: Path) -> None:
    edit(run, model={"_target_": "os.system", "command": "touch owned"})
    with pytest.raises((SecurityError, ConfigError)) as caught:
        TrainedClassifier(run, stripes(image_size=28))
    assert caught.value.exit_code == 10
    assert not Path("owned").exists()


def test_the_fid_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchmetrics", "torchmetrics.image", "torchmetrics.image.fid"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        SampleQuality(classifier=None, num_samples=10, inception_fid=True)
    assert "pip install 'aiexp[fid]'" in caught.value.fix


def test_num_samples() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        quality(None, num_samples=1)
