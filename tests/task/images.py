"""A generated image data set with the members that tasks use: stripes whose direction is the class."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Stripes:
    """Grey or colour images of three kinds of stripes with noise, in memory as uint8."""

    def __init__(
        self,
        *,
        num: int = 48,
        channels: int = 1,
        image_size: int = 20,
        batch_size: int = 16,
        drop_last: bool = False,
    ) -> None:
        self.channels, self.image_size, self.batch_size = channels, image_size, batch_size
        self.drop_last = drop_last
        self.class_names = ["across", "down", "slanted"]
        self.mean, self.std = [0.5] * channels, [0.25] * channels
        self._splits = {"train": self._draw(num, 0), "eval": self._draw(15, 1), "test": self._draw(15, 2)}

    def _draw(self, num: int, seed: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng(seed)
        size = self.image_size
        y, x = np.mgrid[:size, :size]
        labels = np.arange(num) % 3
        phases = np.stack([y, x, y + x])[labels] + random.integers(0, 6, size=(num, 1, 1))
        noise = random.normal(scale=12, size=(num, self.channels, size, size))
        pixels = (phases % 6 < 3)[:, None] * 160.0 + 48 + noise
        return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(labels)

    def images(self, split: str) -> Tensor:
        return self._splits[split][0]

    def labels(self, split: str) -> Tensor:
        return self._splits[split][1]

    def names(self, split: str) -> list[str]:
        return [f"{split}[{i}]" for i in range(self.num_examples(split))]

    def class_counts(self) -> np.ndarray[Any, Any]:
        return np.bincount(self.labels("train").numpy(), minlength=3)

    def num_examples(self, split: str) -> int:
        return len(self._splits[split][0])

    def batches_per_epoch(self) -> int:
        num = self.num_examples("train")
        return num // self.batch_size if self.drop_last else -(-num // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        number = start
        while True:
            epoch, place = divmod(number, self.batches_per_epoch())
            order = np.random.default_rng((0, epoch)).permutation(self.num_examples("train"))
            index = torch.from_numpy(order[place * self.batch_size : (place + 1) * self.batch_size])
            yield self._batch("train", index) | {"seeds": index * 7919 + epoch}
            number += 1

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        for index in torch.arange(self.num_examples(split)).split(4):
            yield self._batch(split, index)

    def _batch(self, split: str, index: Tensor) -> dict[str, Tensor]:
        images, labels = self._splits[split]
        return {"images": images[index], "labels": labels[index], "index": index}

    def fingerprint(self) -> str:
        return f"stripes {self.channels} {self.image_size}"
