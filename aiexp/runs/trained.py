"""A finished run of image classification, used to look at other images."""

from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.config.validate import validate
from aiexp.dataset.base import ImageData
from aiexp.errors import AiexpError, ConfigError
from aiexp.experiment import build_task
from aiexp.rundir.code.copied import used_code_of
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, ENVIRONMENT
from aiexp.rundir.weights import fitting, learned
from aiexp.runs.standard_classifier import RUN_KEY, standard_classifier
from aiexp.task.adversarial.sample_quality import Judgement

# Tensor letters: N images, C channels, H height, W width.

CLASSIFICATION = "aiexp.task.classification.image.ImageClassification"
IMAGES_AT_ONCE = 500


@final
class TrainedClassifier:
    """The best checkpoint of a run directory; no part of the task that uses it, since it learns nothing here.

    Args:
        run: Its directory, or "auto": the standard classifier of a published data set, trained once. It may
            be someone else's: its config is checked like any other; weights are read, nothing is unpickled.
        dataset: The images to look at; size, channels and classes must be those of the run.

    Raises:
        ConfigError: it is no run of image classification, has no checkpoint, or knows other images.
        SecurityError: its config names what is not allowed, or a link lies in it.
    """

    def __init__(self, *, run: str, dataset: ImageData) -> None:
        path = self.path = standard_classifier(dataset) if run == "auto" else Path(run).expanduser()
        random = random_state()
        try:
            self.task, self.digest = load(path, dataset)
        except ConfigError:
            raise
        except AiexpError as error:
            if error.kind == "security":
                raise
            raise ConfigError(
                f"this run cannot judge images: {error.what}", where=f"{RUN_KEY}={path}",
                fix=f"name a finished run of task=mnist_cnn, or {RUN_KEY}=auto",
            ) from error  # fmt: skip
        finally:
            load_random_state(random)  # its first weights were drawn in vain

    def describe(self) -> dict[str, Any]:
        """The run, and the sha256 of its weights."""
        return {"classifier": str(self.path), "classifier_sha256": self.digest}

    def judge(self, images: Tensor, device: torch.device) -> Judgement:
        """Features and probabilities of (N, C, H, W) uint8 images, on the CPU; computed in fp32."""
        self.task.to(device)
        features: list[Tensor] = []
        probabilities: list[Tensor] = []
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            for part in images.split(IMAGES_AT_ONCE):
                vectors = self.task.model(self.task.normalize(part.to(device)))
                features.append(vectors.float().cpu())
                probabilities.append(self.task.head(vectors).float().softmax(1).cpu())
        return Judgement(features=torch.cat(features), probabilities=torch.cat(probabilities))


def load(path: Path, dataset: ImageData) -> tuple[Any, str]:
    """The task with its best weights, in evaluation mode, and the sha256 of the file of weights."""
    directory = RunDirectory.open(path)
    with used_code_of(directory.path):
        config = validate(directory.read_config(), source=str(directory.path / CONFIG))
        check(config, directory, dataset)
        task = build_task(config, dataset)
    run = learned(directory)
    with fitting(
        ConfigError, "the weights do not fit", where=f"{RUN_KEY}={path}",
        fix="name a run on images of this size and these classes",
    ):  # fmt: skip
        task.load_state_dict(dict(run.weights))
    task.eval().requires_grad_(False)
    return task, run.record()["sha256"]


def check(config: dict[str, Any], directory: RunDirectory, dataset: ImageData) -> None:
    """Raises `ConfigError` unless a run classified such images into such classes."""
    where, target = f"{RUN_KEY}={directory.path}", (config.get("task") or {}).get("_target_")
    if target != CLASSIFICATION:
        name = str(target).rsplit(".", 1)[-1]
        raise ConfigError(
            f"this is a run of {name}, not of image classification", where=where,
            fix=f"name a run of task=mnist_cnn, or {RUN_KEY}=auto",
        )  # fmt: skip
    settings = config.get("dataset") or {}
    for key in ("mean", "std"):  # the weights expect pixels normalised as in that run
        trained, given = settings.get(key), getattr(dataset, key)
        if trained is not None and list(trained) not in (given, list(dict.fromkeys(given))):
            raise ConfigError(
                f"the classifier was trained with dataset.{key}={trained}, this data set has {given}",
                where=where, fix=f"dataset.{key}={trained} (a GAN scales to [-1, 1] whatever they are)",
            )  # fmt: skip
    for key in ("image_size", "channels"):
        trained, wanted = settings.get(key), getattr(dataset, key)
        if trained is not None and trained != wanted:
            raise ConfigError(
                f"the classifier was trained with dataset.{key}={trained}, these images have {wanted}",
                where=where, fix=f"name another run, or dataset.{key}={trained}",
            )  # fmt: skip
    classes = (directory.read_json(ENVIRONMENT).get("task") or {}).get("id2label")
    if isinstance(classes, dict) and list(classes.values()) != dataset.class_names:
        raise ConfigError(
            f"the classifier tells other classes apart: {', '.join(map(str, classes.values()))}"[:300],
            where=where, fix="name a run on the same data set",
        )  # fmt: skip
