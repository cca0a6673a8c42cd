"""Regression tasks to learn to learn from: each is a sine wave of its own amplitude and phase."""

import hashlib
import itertools
import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import final

import numpy as np
import torch
from torch import Tensor

from aiexp.dataset.draws import uniforms
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.ranges import NonNegativeInt, PositiveInt

# Tensor letters: M tasks of a batch, K support points of a task, Q query points.

_FINGERPRINT_BATCHES = 16


@final
class Sinusoids:
    """Tasks y = a sin(x - p): amplitude a in [0.1, 5), phase p in [0, pi), points x in [-5, 5), all uniform.

    Source: Finn et al. 2017 (arXiv 1703.03400), section 5.1.

    Training tasks are drawn without end and never repeat; an epoch is only a number of batches. The tasks of
    "eval" and "test" are drawn once: they depend neither on the seed nor on how many there are, so that runs
    can be compared. A batch is a dict:
        support_x, support_y: (M, K, 1) float32, the points to adapt to.
        query_x, query_y: (M, Q, 1) float32, other points of the same waves.
        amplitude, phase: (M,) float32.

    Args:
        shots: Support points of a task.
        queries: Query points of a training task.
        eval_queries: Query points of an evaluation task.
        num_tasks: Tasks of "eval", and as many others of "test".
        batch_size: Tasks in a training batch.
        eval_batch_size: Tasks in an evaluation batch.
        epoch_batches: Training batches that count as an epoch.
        seed: Of the training tasks.
    """

    ways = 0  # regression: no classes
    units = MappingProxyType(dict.fromkeys(SPLITS, "tasks"))

    def __init__(
        self,
        *,
        shots: PositiveInt,
        queries: PositiveInt,
        eval_queries: PositiveInt,
        num_tasks: PositiveInt,
        batch_size: PositiveInt,
        eval_batch_size: PositiveInt,
        epoch_batches: PositiveInt,
        seed: NonNegativeInt,
    ) -> None:
        self.shots, self.queries, self.eval_queries = shots, queries, eval_queries
        self.num_tasks, self.batch_size, self.eval_batch_size = num_tasks, batch_size, eval_batch_size
        self.epoch_batches, self.seed = epoch_batches, seed

    def num_examples(self, split: str) -> int:
        """Tasks of an epoch (train) or of the split."""
        check_split(split)
        return self.epoch_batches * self.batch_size if split == "train" else self.num_tasks

    def batches_per_epoch(self) -> int:
        """Training batches that count as an epoch."""
        return self.epoch_batches

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        width = 2 + self.shots + self.queries
        for number in itertools.count(start):
            draws = uniforms(self.batch_size * width, self.seed, SPLITS.index("train"), number)
            yield self._waves(torch.from_numpy(draws).view(self.batch_size, width))

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """The tasks of `split` once, in a fixed order."""
        width, which = 2 + self.shots + self.eval_queries, SPLITS.index(split)
        for start in range(0, self.num_examples(split), self.eval_batch_size):
            numbers = range(start, min(start + self.eval_batch_size, self.num_tasks))
            draws = np.stack([uniforms(width, 0, which, number) for number in numbers])
            yield self._waves(torch.from_numpy(draws))

    def fingerprint(self) -> str:
        """sha256 (hex) over the first training batches and all evaluation tasks."""
        digest = hashlib.sha256()
        train = itertools.islice(self.train_batches(0), _FINGERPRINT_BATCHES)
        for batch in itertools.chain(train, self.eval_batches("eval"), self.eval_batches("test")):
            for name, values in batch.items():
                digest.update(f"{name} {tuple(values.shape)}\n".encode())
                digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()

    def _waves(self, draws: Tensor) -> dict[str, Tensor]:
        """A batch from uniform numbers (M, 2 + K + Q) in [0, 1)."""
        amplitude, phase = 0.1 + 4.9 * draws[:, :1], math.pi * draws[:, 1:2]
        x = 10 * draws[:, 2:] - 5
        y = amplitude * torch.sin(x - phase)
        x, y = x.float()[:, :, None], y.float()[:, :, None]  # (M, K + Q, 1)
        return {
            "support_x": x[:, : self.shots],
            "support_y": y[:, : self.shots],
            "query_x": x[:, self.shots :],
            "query_y": y[:, self.shots :],
            "amplitude": amplitude[:, 0].float(),
            "phase": phase[:, 0].float(),
        }
