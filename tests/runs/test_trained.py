"""A run directory as a classifier of other images: what fits, what is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from aiexp.config.compose import compose
from aiexp.errors import ConfigError, SecurityError
from aiexp.rundir.directory import RunDirectory
from aiexp.runs.trained import TrainedClassifier
from tests.runs.classification_run import config_of, make_run
from tests.task.images import stripes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"), stripes(image_size=28))


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of mnist_cnn on stripes."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_loading_a_classifier_draws_nothing_and_leaves_nothing_to_learn(run: Path) -> None:
    before = torch.get_rng_state()
    classifier = TrainedClassifier(run=str(run), dataset=stripes(image_size=28))
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
        TrainedClassifier(run=str(run), dataset=stripes(image_size=32))
    assert str(run) in caught.value.where
    with pytest.raises(ConfigError, match=r"dataset.channels=1, these images have 3"):
        TrainedClassifier(run=str(run), dataset=stripes(image_size=28, channels=3))
    dataset = stripes(image_size=28)
    dataset.mean = [0.1]
    with pytest.raises(ConfigError, match=r"dataset.mean=\[0.5\], this data set has \[0.1\]"):
        TrainedClassifier(run=str(run), dataset=dataset)
    dataset = stripes(image_size=28)
    dataset.class_names = ["a", "b", "c"]
    with pytest.raises(ConfigError, match="other classes apart: across, down, slanted"):
        TrainedClassifier(run=str(run), dataset=dataset)
    edit(run, model__image_size=32)
    with pytest.raises(ConfigError, match="weights do not fit"):
        TrainedClassifier(run=str(run), dataset=stripes(image_size=28))


def test_what_is_no_run_of_image_classification(run: Path, tmp_path: Path) -> None:
    dataset = stripes(image_size=28)
    with pytest.raises(ConfigError, match="no such run directory") as caught:
        TrainedClassifier(run=str(tmp_path / "nowhere"), dataset=dataset)
    assert caught.value.where.startswith("SampleQuality.classifier.run=")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="not a run directory"):
        TrainedClassifier(run=str(tmp_path / "empty"), dataset=dataset)
    weights = run / "checkpoints/step-00000007/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ConfigError, match="damaged"):
        TrainedClassifier(run=str(run), dataset=dataset)
    RunDirectory(run).write_config(*config_of("task=dcgan"), [])
    with pytest.raises(ConfigError, match="a run of GAN, not of image classification"):
        TrainedClassifier(run=str(run), dataset=dataset)


def test_a_run_of_someone_else_runs_no_code(run: Path) -> None:
    edit(run, model={"_target_": "os.system", "command": "touch owned"})
    with pytest.raises((SecurityError, ConfigError)) as caught:
        TrainedClassifier(run=str(run), dataset=stripes(image_size=28))
    assert caught.value.exit_code == 10
    assert not Path("owned").exists()


def test_a_classifier_is_chosen_by_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert compose(["task=dcgan"]).config.task.quality.classifier.run == "auto"
    chosen = compose(["task=dcgan", "task.quality.classifier.run=outputs/mine"])
    assert chosen.config.task.quality.classifier.run == "outputs/mine"
    assert compose(["task=dcgan", "task.quality.classifier=null"]).config.task.quality.classifier is None
    with pytest.raises(ConfigError, match=r"'task.quality.classifier' is 'outputs/mine'"):
        compose(["task=dcgan", "task.quality.classifier=outputs/mine"])
