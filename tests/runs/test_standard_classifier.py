import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from aiexp.checkpoint.manifest import FORMAT
from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.compose import compose
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.published import CLASS_NAMES
from aiexp.errors import ConfigError, DataError
from aiexp.rundir.directory import RunDirectory
from aiexp.runs import standard_classifier as standard
from aiexp.runs.trained import TrainedClassifier
from tests.task.images import stripes


def digits() -> ImageDataset:
    """Stripes with the class names of MNIST."""
    dataset = stripes(image_size=28)
    dataset.class_names = CLASS_NAMES["mnist"]
    return dataset


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have trained; each leaves a finished run."""
    commands: list[list[str]] = []

    def run_quietly(command: list[str]) -> None:
        commands.append(command)
        time.sleep(0.2)
        outputs = next(word for word in command if word.startswith("outputs=")).removeprefix("outputs=")
        directory = RunDirectory.create(Path(outputs) / "mnist_cnn", "")
        CheckpointStore(directory.path / "checkpoints").save(1, {"weight": torch.ones(2)}, {})
        directory.write_config(config, {}, [])
        directory.write_status(state="finished")

    config: Any = OmegaConf.to_container(compose(["task=mnist_cnn"]).config, resolve=True)
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(standard, "run_quietly", run_quietly)
    return commands


def test_the_standard_classifier_is_trained_once(
    trainings: list[list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    path = standard.standard_classifier(digits())
    assert path.name == f"mnist-28x28x1-format{FORMAT}"
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    for part in ("once, in about a minute", str(path), "SampleQuality's classifier: null"):
        assert part in said
    (command,) = trainings
    assert command[:5] == [sys.executable, "-m", "aiexp", "run", "task=mnist_cnn"]
    assert {"dataset=mnist", "dataset.image_size=28", "dataset.channels=1", "tracker=none"} <= set(command)
    assert standard.standard_classifier(digits()) == path
    assert (len(trainings), capfd.readouterr().err) == (1, "")
    assert sorted(p.name for p in path.parent.iterdir()) == [f".{path.name}.lock", path.name]
    (path / "status.json").write_text('{"state": "running"}')
    assert standard.standard_classifier(digits()) == path
    assert len(trainings) == 2, "what is not finished is trained again"
    (path / "checkpoints/step-00000001/model.safetensors").write_bytes(b"damaged")
    assert standard.standard_classifier(digits()) == path
    assert len(trainings) == 3, "what is damaged is trained again"
    old = (path / "config.yaml").read_text().replace("aiexp.task.classification.image.", "aiexp.task.image.")
    (path / "config.yaml").write_text(old)
    assert standard.standard_classifier(digits()) == path
    assert len(trainings) == 4, "what names classes of an older aiexp is trained again"


def test_two_runs_at_once_train_it_once(trainings: list[list[str]]) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(standard.standard_classifier(digits())))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 3
    assert len(trainings) == 1


def test_a_failed_training_is_one_line_and_leaves_nothing(
    trainings: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str]) -> None:
        raise DataError("training the classifier failed: no network")

    monkeypatch.setattr(standard, "run_quietly", fail)
    with pytest.raises(DataError, match="no network"):
        standard.standard_classifier(digits())
    folder = standard.data_dir() / "classifiers"
    assert [p.name for p in folder.iterdir()] == [f".mnist-28x28x1-format{FORMAT}.lock"]


def test_the_last_line_of_a_failed_command() -> None:
    program = "import sys; sys.stderr.write('warning\\nerror[data]: no network\\n'); sys.exit(3)"
    command = [sys.executable, "-c", program, "run", "task=mnist_cnn", "a", "b", "c"]
    with pytest.raises(DataError) as caught:
        standard.run_quietly(command)
    assert caught.value.what.endswith("error[data]: no network")
    assert "aiexp run task=mnist_cnn; or" in caught.value.fix
    standard.run_quietly([sys.executable, "-c", "print('fine')"])


def test_no_standard_classifier_for_a_data_set_of_ones_own() -> None:
    with pytest.raises(ConfigError, match="no standard classifier") as caught:
        TrainedClassifier(run="auto", dataset=stripes())
    assert "SampleQuality.classifier=null" in caught.value.fix
