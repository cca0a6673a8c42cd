"""A folder of lazily decoded pictures, and its batches."""

from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml

from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.folder import image_folder

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "image_folder.yaml"
Batch = dict[str, torch.Tensor]


def make(folder: Path, **changes: Any) -> ImageDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    settings = {
        "train_folder": str(folder),
        "seed": 0,
        "image_size": 12,
        "batch_size": 8,
        "eval_batch_size": 5,
    }
    return image_folder(**{**values, **settings, "memory": "lazy", "num_workers": 0, **changes})


def take(dataset: ImageDataset, start: int, count: int) -> list[Batch]:
    return list(islice(dataset.train_batches(start), count))


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
