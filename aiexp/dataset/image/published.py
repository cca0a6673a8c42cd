"""Published image data sets: MNIST, Fashion-MNIST and CIFAR-10, with their own training and test pictures."""

from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch

from aiexp.dataset.image.dataset import ImageBatching, ImageDataset, Images
from aiexp.dataset.image.fit import fit
from aiexp.dataset.subset import even_subset
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import NonNegativeInt, PositiveInt
from aiexp.source.fetch import fetch
from aiexp.source.idx import read_idx

# Names of the classes in the order of their labels, as published.
CLASS_NAMES: dict[str, list[str]] = {
    "mnist": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "fashion_mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}


def published_images(
    *,
    collection: Literal["mnist", "fashion_mnist", "cifar10"],
    num_eval: NonNegativeInt,
    image_size: PositiveInt,
    channels: Literal[1, 3],
    **batching: Unpack[ImageBatching],
) -> ImageDataset:
    """Pictures with the published division into training and test.

    Args:
        collection: "mnist", "fashion_mnist" or "cifar10".
        num_eval: Training pictures held out for validation, the same share of each class; 0 for none.
        image_size: Height and width in pixels; other than published resizes (bilinear, antialias).
        channels: 1 or 3; other than published converts.
        batching: See `ImageBatching`.

    Raises:
        ConfigError: more are held out than there are.
        DataError: the data cannot be fetched.
    """
    folder = fetch(collection)
    splits = {
        split: _read(folder, part, image_size, channels)
        for split, part in (("train", "train"), ("test", "t10k"))
    }
    if num_eval:
        splits |= _held_out(splits["train"], num_eval)
    return ImageDataset(
        splits=splits,
        class_names=CLASS_NAMES[collection],
        source=str(folder),
        **batching,
    )


def _held_out(train: Images, count: int) -> dict[str, Images]:
    """Training pictures divided in "train" and "eval"; names say where each was published."""
    if count >= len(train):
        raise ConfigError(
            f"num_eval is {count}, but there are {len(train)} training pictures",
            where="num_eval",
            fix=f"a number from 0 (none) to {len(train) - 1}",
        )
    rows = even_subset(train.labels.numpy(), count)
    others = np.setdiff1d(np.arange(len(train)), rows)
    train = train.named("train")
    return {"train": train.at(others), "eval": train.at(rows)}


def _read(folder: Path, part: str, image_size: int, channels: int) -> Images:
    """One part of a collection, of this size; its pixels lie as published, in one file."""
    images_path = next(iter(sorted(folder.glob(f"{part}-images-idx*-ubyte"))), None)
    if images_path is None:
        raise DataError(f"no pictures of part {part}", where=str(folder), fix=f"rm -r {folder}")
    pixels, labels = read_idx(images_path), read_idx(folder / f"{part}-labels-idx1-ubyte")
    if pixels.ndim == 3:
        pixels = pixels[:, None]  # (N, 1, H, W)
    images = fit(torch.from_numpy(pixels), image_size, channels)
    return Images(images=images, labels=torch.from_numpy(labels.astype(np.int64)))
