"""`aiexp run` and `aiexp check` on the user's own images, made by a function of the user's."""

import sys
from pathlib import Path

import pytest

from aiexp import cli
from tests.forks import Ended, in_fork

CODE = """
from tests.task.images import stripes

def make(*, num, channels, image_size, batch_size):
    return stripes(num=num, channels=channels, image_size=image_size, batch_size=batch_size)
"""
YAML = """\
# Generated stripes
_target_: my_stripes.make
num: 49
channels: 1
image_size: 20
batch_size: 16
"""
QUICK = ["hardware.threads=1", "hardware.precision=fp32", "trainer.steps=4", "trainer.epochs=null"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_stripes.py").write_text(CODE)
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/stripes.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def aiexp(folder: Path, *words: str) -> Ended:
    def body() -> int:
        sys.argv = ["aiexp", *words]
        return cli.main(list(words))

    return in_fork(body, folder, seconds=60)


@pytest.mark.parametrize("task", ["mnist_cnn", "cifar10_cnn"])
def test_a_run(folder: Path, task: str) -> None:
    ended = aiexp(folder, "run", f"task={task}", "dataset=stripes", "tracker=none", *QUICK)
    assert ended.code == 0, ended.stderr
    figures = {p.name.split("_step-")[0] for p in folder.glob(f"outputs/{task}/*/figures/test/*")}
    assert figures == {"confusion_matrix", "classes", "worst_errors"}


def test_check_finds_images_that_are_too_small(folder: Path) -> None:
    ended = aiexp(folder, "check", "task=mnist_cnn", "dataset=stripes", "dataset.image_size=4")
    assert ended.code == 2
    (line,) = ended.stderr.splitlines()
    assert "images of 4 x 4 pixels are too small" in line
    assert "dataset.image_size" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=torchvision"], "dataset.channels=3"),
        (["model=torchvision", "model.name=resnet81", "dataset.channels=3"], "Did you mean 'resnet18'?"),
        (
            ["model=torchvision", "model.name=shufflenet_v2_x0_5", "dataset.channels=3"],
            "dataset.drop_last=true",
        ),
        (["task.normalization=imagenet"], "task.normalization"),
        (["task.trunk.whitening_examples=9"], "no layer that whitens"),
    ],
)
def test_one_clear_line(folder: Path, words: list[str], expected: str) -> None:
    """49 images in batches of 16 leave a last batch of one, which batch norm cannot take."""
    ended = aiexp(folder, "check", "task=mnist_cnn", "dataset=stripes", *words, *QUICK)
    assert ended.code == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert expected in line
