"""The task without a trainer, on generated images; frozen trunks, whitening, exact resume."""

import io
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.errors import ConfigError
from aiexp.model.image.cnn import MnistCnn
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.classification.augmentation import Augmentation
from aiexp.task.classification.image import ImageClassification
from aiexp.task.classification.mixing import Mixing
from aiexp.task.classification.trunk import Trunk
from aiexp.world.world import World
from tests.endings import die_at, digest
from tests.forks import in_fork
from tests.task.images import stripes
from tests.task.learning import losses
from tests.toys import make_hardware, make_trainer, new_run

STEPS = 9


class Normed(nn.Module):
    """A trunk with batch norm and dropout, whose first layer can be set from data."""

    feature_size = 8

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.first.weight.requires_grad_(False)
        self.layers = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))
        self.whitened: Tensor | None = None

    def whiten(self, images: Tensor) -> None:
        self.whitened = images

    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(self.layers(self.first(images)).mean((2, 3)), 0.2, self.training)


def trunk(**changes: float) -> Trunk:
    settings: dict[str, Any] = {
        "whitening_examples": 0, "frozen_epochs": 0.0, "lr_scale": 1.0, "bias_lr_scale": 1.0
    }  # fmt: skip
    return Trunk(**(settings | changes))


def make(dataset: ImageDataset | None = None, **changes: Any) -> tuple[ImageClassification, ImageDataset]:
    seed_everything(0)
    dataset = dataset or stripes()
    settings: dict[str, Any] = {
        "model": MnistCnn(channels=dataset.channels, image_size=dataset.image_size),
        "optimizer": lambda groups: torch.optim.Adam(groups, lr=1e-3, fused=True),
        "trunk": trunk(),
        "augmentation": Augmentation(flip=False, crop=0, cutout=0),
        "mixing": Mixing(mixup_alpha=0.0, cutmix_alpha=0.0),
        "label_smoothing": 0.0,
        "normalization": "dataset",
        "test_flip": False,
        "num_worst": 5,
    }
    return ImageClassification(dataset=dataset, **(settings | changes)), dataset


def test_overfits_a_small_batch() -> None:
    task, dataset = make()
    batch = next(dataset.train_batches(0))
    curve = losses(task, iter([batch] * 40), 40)
    assert curve[0] > 0.9
    assert curve[-1] < 0.01


def test_golden_losses() -> None:
    """The first losses with seed 0 in fp32; a commit that changes them says why."""
    task, dataset = make(
        augmentation=Augmentation(flip=True, crop=2, cutout=4),
        mixing=Mixing(mixup_alpha=0.2, cutmix_alpha=1.0), label_smoothing=0.1,
    )  # fmt: skip
    assert losses(task, dataset.train_batches(0), 5) == pytest.approx(GOLDEN, abs=2e-4)


GOLDEN = [1.09579, 1.148099, 1.097599, 1.070093, 1.07192]


def test_equals_a_loop_written_by_hand() -> None:
    """Plain normalisation, cross entropy and SGD: the textbook's step, in the textbook's order."""
    task, dataset = make(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9))
    curve = losses(task, dataset.train_batches(0), 8)
    seed_everything(0)
    model = MnistCnn(channels=1, image_size=20)
    network = nn.Sequential(model, nn.Linear(64, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for expected, batch in zip(curve, dataset.train_batches(0), strict=False):
        loss = F.cross_entropy(network((batch["images"].float() / 255 - 0.5) / 0.25), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("test_flip", [False, True])
def test_evaluation_agrees_with_one_pass_by_hand(test_flip: bool) -> None:
    task, dataset = make(test_flip=test_flip)
    losses(task, dataset.train_batches(0), 3)
    task.eval()
    with torch.inference_mode():
        result = task.evaluate(dataset, "test", report=True)
        images = (dataset.images("test").float() / 255 - 0.5) / 0.25
        logits = task.head(task.model(images))
        if test_flip:
            logits = (logits + task.head(task.model(images.flip(3)))) / 2
    labels = dataset.labels("test")
    wrong = logits.argmax(1) != labels
    assert 0 < wrong.sum() < 15
    assert result.metrics["accuracy"] == pytest.approx(1 - wrong.float().mean().item())
    assert result.metrics["loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    assert set(result.metrics) == {"loss", "accuracy", "macro_f1"}
    worst = result.tables["worst_errors"]
    assert worst.columns == ["true", "predicted", "confidence", "image"]
    assert len(worst.rows) == min(5, int(wrong.sum()))
    confidence, predicted = logits.softmax(1).max(1)
    place = int(torch.where(wrong, confidence, 0).argmax())
    names = dataset.class_names
    expected = [names[labels[place]], names[predicted[place]], round(confidence[place].item(), 4)]
    assert worst.rows[0] == [*expected, f"test[{place}]"]
    assert [row[4] for row in result.tables["classes"].rows] == [5, 5, 5]
    sheet = np.asarray(Image.open(io.BytesIO(result.pictures["worst_errors"])))
    tile = 140  # 20 pixels, 7 times as large
    assert (sheet[4 : 4 + tile : 7, 4 : 4 + tile : 7] == dataset.images("test")[place, 0].numpy()).all()


def test_no_errors_no_picture_of_them() -> None:
    task, dataset = make()
    losses(task, dataset.train_batches(0), 30)
    task.eval()
    with torch.inference_mode():
        result = task.evaluate(dataset, "test", report=True)
    assert result.metrics["accuracy"] == 1.0
    assert set(result.pictures) == {"confusion_matrix"}


def test_imagenet_normalization() -> None:
    task, dataset = make(stripes(channels=3), normalization="imagenet")
    images = dataset.images("test")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images.permute(0, 2, 3, 1).float() / 255 - mean) / std
    result = task.normalize(images)
    torch.testing.assert_close(result, expected.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_only_training_sees_augmentation_mixing_and_smoothing() -> None:
    plain, dataset = make()
    batch = next(dataset.train_batches(0))
    with torch.inference_mode():
        expected = plain.evaluate(dataset, "eval").metrics
    for changes in (
        {"augmentation": Augmentation(flip=True, crop=0, cutout=0)},
        {"augmentation": Augmentation(flip=False, crop=2, cutout=0)},
        {"mixing": Mixing(mixup_alpha=0.4, cutmix_alpha=0.0)},
        {"label_smoothing": 0.2},
    ):
        task, _ = make(**changes)
        first, second = (next(iter(t.train_step(batch))).loss.item() for t in (task, plain))
        assert first != second, changes
        assert next(iter(task.train_step(batch))).loss.item() == first  # by the seeds of the batch alone
        with torch.inference_mode():
            assert task.evaluate(dataset, "eval").metrics == expected


def test_groups_reach_every_trained_parameter_once() -> None:
    task, _ = make(model=Normed(), trunk=trunk(lr_scale=0.1, bias_lr_scale=8.0))
    groups = task.make_optimizers()["model"].param_groups
    scales = {id(p): (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}
    trained = [p for p in task.parameters() if p.requires_grad]
    assert (
        sum(len(g["params"]) for g in groups)
        == len(scales)
        == len(trained)
        == len(list(task.parameters())) - 1
    )
    assert {id(p) for p in trained} == set(scales)
    assert scales[id(task.head.weight)] == (1.0, 0.0)
    assert scales[id(task.head.bias)] == (8.0, 0.0)
    assert scales[id(task.model.layers[2].weight)] == (0.1, 0.0)
    assert scales[id(task.model.layers[0].weight)] == (0.8, 0.0)
    decaying, _ = make(model=Normed(), optimizer=lambda g: torch.optim.SGD(g, lr=0.1, weight_decay=0.5))
    for group in decaying.make_optimizers()["model"].param_groups:
        assert group["weight_decay"] == (0.5 if group["params"][0].ndim >= 2 else 0.0)


def test_whitening_sees_normalised_images_from_all_over_the_split() -> None:
    task, dataset = make(model=Normed(), trunk=trunk(whitening_examples=12))
    assert torch.equal(task.model.whitened, task.normalize(dataset.images("train")[::4]))
    everything, _ = make(model=Normed(), trunk=trunk(whitening_examples=1000))
    assert len(everything.model.whitened) == 48
    with pytest.raises(ConfigError, match="MnistCnn has no layer that whitens"):
        make(trunk=trunk(whitening_examples=12))


def test_a_frozen_trunk_keeps_everything_then_learns() -> None:
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1, weight_decay=0.1)  # noqa: E731
    task, dataset = make(model=Normed(), optimizer=optimizer, trunk=trunk(frozen_epochs=1.0))
    task.train()
    sgd, batches = task.make_optimizers()["model"], dataset.train_batches(0)
    states = [{k: v.clone() for k, v in task.state_dict().items()}]
    for number in range(6):
        if number in (1, 4):  # an evaluation in between changes nothing
            task.eval()
            task.train()
        assert task.is_frozen == (number < 3)
        (update,) = task.train_step(next(batches))
        update.loss.backward()
        sgd.step()
        sgd.zero_grad()
        states.append({k: v.clone() for k, v in task.state_dict().items()})
        changed = {k for k in states[0] if not torch.equal(states[-1][k], states[-2][k])}
        assert {"head.weight", "head.bias"} <= changed
        trunk_changed = {k for k in changed if k.startswith("model.")}
        assert (trunk_changed == set()) == (number < 3)
        if number >= 3:
            assert {"model.layers.1.weight", "model.layers.0.running_mean"} & trunk_changed
    assert task.model.training


def test_grey_images_have_no_statistics_of_colours() -> None:
    with pytest.raises(ConfigError) as caught:
        make(normalization="imagenet")
    assert caught.value.where == "normalization"


@pytest.mark.parametrize(
    ("num", "batch_size", "drop_last", "refused"),
    [
        (48, 1, False, True), (49, 16, False, True), (49, 16, True, False), (48, 16, False, False),
        (3, 2, False, True),
    ],
)  # fmt: skip
def test_batch_norm_needs_two_images(num: int, batch_size: int, drop_last: bool, refused: bool) -> None:
    dataset = stripes(num=num, batch_size=batch_size, drop_last=drop_last)
    make(dataset)  # without batch norm any batch will do
    if not refused:
        make(dataset, model=Normed())
        return
    with pytest.raises(ConfigError, match="batch norm, which needs at least two") as caught:
        make(dataset, model=Normed())
    assert caught.value.where == "dataset"


def test_batch_norm_needs_two_images_on_each_rank() -> None:
    task, _ = make(stripes(num=48, batch_size=16), model=Normed())
    task.join(World(0, 8))
    with pytest.raises(ConfigError, match="16 examples leaves one for a rank of 9"):
        task.join(World(0, 9))
    make(stripes(num=48, batch_size=16))[0].join(World(0, 16))  # without batch norm


def train(directory: RunDirectory) -> None:
    """One process's share of a run that begins with a frozen trunk."""
    hardware = make_hardware()
    with Session(directory, directory.read_config()) as session:
        task, dataset = make(
            model=Normed(), trunk=trunk(frozen_epochs=1.5),
            augmentation=Augmentation(flip=True, crop=2, cutout=4),
            mixing=Mixing(mixup_alpha=0.2, cutmix_alpha=0.0),
        )  # fmt: skip
        trainer = make_trainer(steps=STEPS)
        session.finish(trainer.fit(task, dataset, hardware, session))


def test_killed_while_frozen_and_after(tmp_path: Path) -> None:
    whole = new_run(tmp_path, "whole")
    assert in_fork(lambda: train(whole), tmp_path).code == 0
    for number in (4, 8):  # from checkpoints of steps 3 and 6; the trunk thaws at step 5
        directory = new_run(tmp_path, f"killed-{number}")

        def killed(number: int = number, directory: RunDirectory = directory) -> None:
            die_at(number)
            train(directory)

        assert in_fork(killed, tmp_path).code == -signal.SIGKILL
        assert in_fork(lambda d=directory: train(d), tmp_path).code == 0
        assert digest(directory) == digest(whole), f"killed at step {number}"


def test_the_stages_of_a_trunk_can_be_sharded() -> None:
    task, _ = make()
    model = task.model
    assert task.shards() == [model.conv1, model.conv2, model.conv3, model.dense]
