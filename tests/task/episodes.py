"""Generated characters: blobs of their own, the same in every example but for noise."""

from typing import Any

import numpy as np

from aiexp.dataset.few_shot.dataset import Characters, EpisodeDataset


def characters(num: int, examples: int, image_size: int, seed: int, alphabet: str) -> Characters:
    random = np.random.default_rng(seed)
    shapes = random.integers(0, 2, size=(num, 1, 1, 4, 4)) * 160.0
    shapes = shapes.repeat(image_size // 4, -1).repeat(image_size // 4, -2)
    noise = random.normal(scale=20, size=(num, examples, 1, image_size, image_size))
    images = (shapes + 40 + noise).clip(0, 255).astype(np.uint8)
    names = [f"{alphabet} {i}" for i in range(num)]
    return Characters(images=images, names=names, alphabets=[f"{alphabet}{i % 2}" for i in range(num)])


def episodes(*, splits: dict[str, Characters] | None = None, **changes: Any) -> EpisodeDataset:
    settings: dict[str, Any] = {
        "batch_size": 3, "eval_batch_size": 4, "num_episodes": 10, "epoch_batches": 5, "rotations": False,
        "seed": 0, "ways": 3, "shots": 2, "queries": 3,
    }  # fmt: skip
    parts = {"train": 9, "eval": 6, "test": 7}
    made = {s: characters(n, 6, 16, i, s) for i, (s, n) in enumerate(parts.items())}
    given = made if splits is None else splits
    return EpisodeDataset(splits=given, source="generated", **(settings | changes))
