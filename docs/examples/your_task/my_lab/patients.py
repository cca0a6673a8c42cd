"""Our data: 442 patients, ten numbers each, and how far the disease came in a year (part of scikit-learn)."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from aiexp.ranges import NonNegativeInt, PositiveInt

SPLITS = {"train": slice(0, 242), "eval": slice(242, 342), "test": slice(342, 442)}


class Patients:
    """A data set is any class with these members; batch `k` follows from its settings and `k` alone."""

    def __init__(self, *, batch_size: PositiveInt, seed: NonNegativeInt) -> None:
        x, y = load_diabetes(return_X_y=True, scaled=True)
        order = np.random.default_rng(0).permutation(len(x))  # the split is always the same
        self.x = torch.tensor(x[order] * 20, dtype=torch.float32)
        self.y = torch.tensor((y[order] - 152) / 77, dtype=torch.float32)  # mean 0, deviation 1
        self.batch_size, self.seed = batch_size, seed

    def num_examples(self, split: str) -> int:
        return SPLITS[split].stop - SPLITS[split].start

    def batches_per_epoch(self) -> int:
        return -(-self.num_examples("train") // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Any]]:
        number = start
        while True:
            epoch, place = divmod(number, self.batches_per_epoch())
            order = np.random.default_rng((self.seed, epoch)).permutation(self.num_examples("train"))
            rows = torch.from_numpy(order[place * self.batch_size :][: self.batch_size])
            yield {"x": self.x[rows], "y": self.y[rows]}
            number += 1

    def eval_batches(self, split: str) -> Iterator[dict[str, Any]]:
        yield {"x": self.x[SPLITS[split]], "y": self.y[SPLITS[split]]}

    def fingerprint(self) -> str:
        return hashlib.sha256(self.x.numpy().tobytes() + self.y.numpy().tobytes()).hexdigest()
