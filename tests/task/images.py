"""A generated image data set: stripes whose direction is the class."""

import numpy as np
import torch

from aiexp.dataset.image.dataset import ImageDataset, Images


def stripes(
    *, num: int = 48, channels: int = 1, image_size: int = 20, batch_size: int = 16, drop_last: bool = False
) -> ImageDataset:
    """Images of three kinds of stripes with noise; with an eval and a test split of 15."""
    splits = {
        name: draw(count, channels, image_size, seed)
        for seed, (name, count) in enumerate({"train": num, "eval": 15, "test": 15}.items())
    }
    return ImageDataset(
        splits=splits, class_names=["across", "down", "slanted"], source="generated", batch_size=batch_size,
        eval_batch_size=4, drop_last=drop_last, limit=None, mean=[0.5], std=[0.25], seed=0,
    )  # fmt: skip


def draw(num: int, channels: int, image_size: int, seed: int) -> Images:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:image_size, :image_size]
    labels = np.arange(num) % 3
    phases = np.stack([y, x, y + x])[labels] + random.integers(0, 6, size=(num, 1, 1))
    noise = random.normal(scale=12, size=(num, channels, image_size, image_size))
    pixels = (phases % 6 < 3)[:, None] * 160.0 + 48 + noise
    return Images(
        images=torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), labels=torch.from_numpy(labels)
    )
