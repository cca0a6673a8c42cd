"""A finished run of image classification, without the time that running takes."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from aiexp.checkpoint.state import seed_everything
from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.compose import compose
from aiexp.config.objects.build import build
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.rundir.directory import RunDirectory


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
