"""Published image data sets: MNIST, Fashion-MNIST and CIFAR-10, with their own training and test pictures."""

from pathlib import Path

import numpy as np
import torch

from aiexp.dataset.image.dataset import ImageDataset, Images
from aiexp.dataset.image.fit import fit
from aiexp.dataset.subset import even_subset
from aiexp.errors import ConfigError, DataError, nearest
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
    collection: str,
    num_eval: int,
    image_size: int,
    channels: int,
    mean: list[float],
    std: list[float],
    batch_size: int,
    eval_batch_size: int,
    drop_last: bool,
    limit: int | None,
    seed: int,
) -> ImageDataset:
    """Pictures with the published division into training and test.

    Args:
        collection: "mnist", "fashion_mnist" or "cifar10".
        num_eval: Training pictures held out for validation, the same share of each class; 0 for none.
        image_size: Height and width in pixels; other than published resizes (bilinear, antialias).
        channels: 1 or 3; other than published converts.
        mean: Mean of each channel, pixels scaled to [0, 1]; one number serves every channel.
        std: Standard deviation of each channel, likewise.
        batch_size: Pictures in a training batch.
        eval_batch_size: Pictures in an evaluation batch.
        drop_last: Leave out the last batch of an epoch when it is smaller.
        limit: At most so many examples of each split, None for all.
        seed: Of the order of the training batches; the splits do not depend on it.

    Raises:
        ConfigError: An unknown collection, or an impossible size or number.
        DataError: The data cannot be fetched.
    """
    if collection not in CLASS_NAMES:
        raise ConfigError(
            f"there is no collection '{collection}'.{nearest(collection, CLASS_NAMES)}",
            where="dataset.collection",
            fix=f"one of {', '.join(CLASS_NAMES)}",
        )
    if channels not in (1, 3):
        raise ConfigError(f"channels is {channels}, but must be 1 or 3", where="dataset.channels")
    if image_size < 1:
        raise ConfigError(f"image_size is {image_size}, but must be at least 1", where="dataset.image_size")
    folder = fetch(collection)
    splits = {"train": _read(folder, "train"), "test": _read(folder, "t10k")}
    if num_eval:
        splits |= _held_out(splits["train"], num_eval)
    splits = {
        name: Images(images=fit(part.images, image_size, channels), labels=part.labels, names=part.names)
        for name, part in splits.items()
    }
    return ImageDataset(
        splits=splits,
        class_names=CLASS_NAMES[collection],
        source=str(folder),
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        drop_last=drop_last,
        limit=limit,
        mean=mean,
        std=std,
        seed=seed,
    )


def _held_out(train: Images, count: int) -> dict[str, Images]:
    """Training pictures divided in "train" and "eval"; names say where each was published."""
    if not 0 <= count < len(train):
        raise ConfigError(
            f"num_eval is {count}, but there are {len(train)} training pictures",
            where="dataset.num_eval",
            fix=f"a number from 0 (none) to {len(train) - 1}",
        )
    rows = even_subset(train.labels.numpy(), count)
    others = np.setdiff1d(np.arange(len(train)), rows)
    train = train.named("train")
    return {"train": train.at(others), "eval": train.at(rows)}


def _read(folder: Path, part: str) -> Images:
    """One part of a collection; (N, C, H, W) pixels are stored as published, in one file."""
    images_path = next(iter(sorted(folder.glob(f"{part}-images-idx*-ubyte"))), None)
    if images_path is None:
        raise DataError(f"no pictures of part {part}", where=str(folder), fix=f"rm -r {folder}")
    pixels, labels = read_idx(images_path), read_idx(folder / f"{part}-labels-idx1-ubyte")
    if pixels.ndim == 3:
        pixels = pixels[:, None]  # (N, 1, H, W)
    return Images(images=torch.from_numpy(pixels), labels=torch.from_numpy(labels.astype(np.int64)))
