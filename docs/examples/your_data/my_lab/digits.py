"""Our data: 1,797 handwritten digits of 8 x 8 pixels, as arrays (they come with scikit-learn)."""

from typing import Unpack

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from aiexp.dataset.image.dataset import ImageBatching, ImageDataset, Images
from aiexp.ranges import PositiveInt

SPLITS = {"train": slice(0, 1397), "eval": slice(1397, 1597), "test": slice(1597, 1797)}


def digits(
    *, image_size: PositiveInt, channels: PositiveInt, **batching: Unpack[ImageBatching]
) -> ImageDataset:
    """The data set: arrays in, the rest (batches, order, resuming) is there."""
    data = load_digits()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.images)))
    pixels = torch.tensor(data.images, dtype=torch.float32)[:, None] * (255 / 16)  # (N, 1, 8, 8)
    pixels = F.interpolate(pixels, size=image_size, mode="bilinear").round().to(torch.uint8)
    pixels = pixels.expand(-1, channels, -1, -1)[order].contiguous()
    labels = torch.tensor(data.target, dtype=torch.int64)[order]
    return ImageDataset(
        splits={name: Images(images=pixels[rows], labels=labels[rows]) for name, rows in SPLITS.items()},
        class_names=[str(digit) for digit in range(10)],
        source="scikit-learn's digits",
        **batching,
    )
