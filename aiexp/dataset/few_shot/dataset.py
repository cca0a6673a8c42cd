"""Episodes: classify new examples of classes of which one or a few examples are given."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Unpack, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.base import Batching
from aiexp.dataset.draws import smallest, uniforms
from aiexp.dataset.splits import SPLITS, check_split
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import PositiveInt, Range

# Letters: N characters of a split, E examples of each, M episodes of a batch, C channels, H height, W width.


class EpisodeBatching(Batching):
    """Arguments that data sets of episodes share; an example is an episode.

    Args:
        ways: Classes of an episode.
        shots: Examples given of each class.
        queries: Further examples of each class, to be classified.
        rotations: Training characters turned by 90, 180 and 270 degrees are classes of their own.
        num_episodes: Episodes of "eval", and as many of "test".
        epoch_batches: Training batches that count as an epoch.
    """

    ways: Annotated[int, Range(">= 2")]
    shots: PositiveInt
    queries: PositiveInt
    rotations: bool
    num_episodes: PositiveInt
    epoch_batches: PositiveInt


@dataclass(frozen=True, kw_only=True, slots=True)
class Characters:
    """Characters with the same number of examples each.

    Args:
        images: (N, E, C, H, W) uint8, ink bright on dark ground.
        names: (N,) what each is called, such as a code point.
        alphabets: (N,) the alphabet that each belongs to.
    """

    images: NDArray[np.uint8]
    names: list[str]
    alphabets: list[str]

    def of_alphabets(self, part: set[str]) -> "Characters":
        """The characters of some alphabets."""
        rows = [row for row, alphabet in enumerate(self.alphabets) if alphabet in part]
        return Characters(
            images=self.images[rows],
            names=[self.names[row] for row in rows],
            alphabets=[self.alphabets[row] for row in rows],
        )


@final
class EpisodeDataset:
    """Episodes drawn from the characters of a split: classes without repetition, then examples of each.

    Training episodes are drawn without end; an epoch is only a number of batches. The episodes of "eval" and
    "test" depend neither on the seed nor on how many there are. A batch is a dict of M episodes; their
    examples are ordered by rounds, each with one example of every class:
        support_x: (M, shots * ways, C, H, W) float32 in [0, 1].
        support_y: (M, shots * ways) int64 in [0, ways).
        query_x, query_y: the same for (queries * ways) other examples of the same classes.
        classes: (M, ways) int64, number of each class in the split; a turned class has N, 2 N or 3 N more.

    Args:
        splits: Characters of "train" and, where they exist, "eval" and "test".
        source: Folder or data set, for messages.
        batching: See `EpisodeBatching`.

    Raises:
        ConfigError: an episode needs more than the data have.
        DataError: there are no training characters, or an alphabet is in two splits.
    """

    units = MappingProxyType(dict.fromkeys(SPLITS, "episodes"))

    def __init__(
        self,
        *,
        splits: dict[str, Characters],
        source: str,
        **batching: Unpack[EpisodeBatching],
    ) -> None:
        check_splits(splits, source)
        self._splits, self.rotations = splits, batching["rotations"]
        self.ways, self.shots, self.queries = batching["ways"], batching["shots"], batching["queries"]
        for split, characters in splits.items():
            self._check(split, self._turns(split) * len(characters.names), characters.images.shape[1])
        self.channels, self.image_size = splits["train"].images.shape[2:4]
        self.batch_size, self.eval_batch_size = batching["batch_size"], batching["eval_batch_size"]
        self.num_episodes, self.epoch_batches = batching["num_episodes"], batching["epoch_batches"]
        self.seed = batching["seed"]

    def num_examples(self, split: str) -> int:
        """Episodes of an epoch (train) or of the split; 0 when the split does not exist."""
        check_split(split)
        if split == "train":
            return self.epoch_batches * self.batch_size
        return self.num_episodes if split in self._splits else 0

    def batches_per_epoch(self) -> int:
        """Training batches that count as an epoch."""
        return self.epoch_batches

    def characters(self, split: str) -> Characters:
        """The characters of a split that exists."""
        return self._splits[split]

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches, beginning with batch number `start`."""
        width = self._width("train")
        for number in itertools.count(start):
            draws = uniforms(self.batch_size * width, self.seed, 0, number)
            yield self._episodes("train", draws.reshape(self.batch_size, width))

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """The episodes of `split` once, in a fixed order."""
        width, which = self._width(split), SPLITS.index(split)
        for start in range(0, self.num_examples(split), self.eval_batch_size):
            numbers = range(start, min(start + self.eval_batch_size, self.num_episodes))
            yield self._episodes(split, np.stack([uniforms(width, 0, which, number) for number in numbers]))

    def fingerprint(self) -> str:
        """sha256 (hex) over the characters of all splits, their names and alphabets, in order."""
        digest = hashlib.sha256()
        for split, characters in sorted(self._splits.items()):
            digest.update(f"{split} {characters.images.shape} {self.rotations}\n".encode())
            for name, alphabet in zip(characters.names, characters.alphabets, strict=True):
                digest.update(f"{name}\t{alphabet}\n".encode())
            digest.update(np.ascontiguousarray(characters.images).data)
        return digest.hexdigest()

    def _check(self, split: str, num_classes: int, num_examples: int) -> None:
        """Raises `ConfigError` unless a split with so many classes and examples of each holds an episode."""
        if self.ways > num_classes:
            raise ConfigError(
                f"an episode of {self.ways} classes, but split {split} has {num_classes}",
                where="ways", fix=f"at most ways={num_classes}",
            )  # fmt: skip
        if self.shots + self.queries > num_examples:
            raise ConfigError(
                f"{self.shots} examples given and {self.queries} asked for, but a class has {num_examples}",
                where="shots", fix=f"shots + queries at most {num_examples}",
            )  # fmt: skip

    def _turns(self, split: str) -> int:
        return 4 if self.rotations and split == "train" else 1

    def _width(self, split: str) -> int:
        """Uniform numbers that an episode takes: one a class to choose from, one an example of each way."""
        num_classes, num_examples = self._splits[split].images.shape[:2]
        return num_classes * self._turns(split) + self.ways * num_examples

    def _episodes(self, split: str, draws: NDArray[np.float64]) -> dict[str, Tensor]:
        """A batch from uniform numbers (M, width)."""
        images = self._splits[split].images
        num_classes = images.shape[0] * self._turns(split)
        classes = smallest(draws[:, :num_classes], self.ways)  # (M, ways)
        ranks = draws[:, num_classes:].reshape(len(draws), self.ways, -1)
        chosen = smallest(ranks, self.shots + self.queries)  # (M, ways, shots + queries)
        turns, rows = np.divmod(classes, images.shape[0])
        picked = images[rows[..., None], chosen]  # (M, ways, shots + queries, C, H, W)
        for turn in range(1, self._turns(split)):
            turned = turns == turn
            picked[turned] = np.rot90(picked[turned], turn, axes=(-2, -1))
        rounds = torch.from_numpy(picked).transpose(1, 2).float() / 255
        labels = torch.arange(self.ways)
        return {
            "support_x": rounds[:, : self.shots].flatten(1, 2),
            "support_y": labels.repeat(self.shots).expand(len(draws), -1),
            "query_x": rounds[:, self.shots :].flatten(1, 2),
            "query_y": labels.repeat(self.queries).expand(len(draws), -1),
            "classes": torch.from_numpy(classes),
        }


def check_splits(splits: dict[str, Characters], source: str) -> None:
    """Raises `DataError` unless there is something to train on and no alphabet is in two splits."""
    if "train" not in splits or not splits["train"].names:
        raise DataError("there are no characters to train on", where=source)
    for first, second in itertools.combinations(splits, 2):
        if shared := set(splits[first].alphabets) & set(splits[second].alphabets):
            raise DataError(
                f"alphabet '{min(shared)}' is in split {first} and in split {second}", where=source
            )


def split_alphabets(
    alphabets: list[str], fractions: dict[str, float], always_train: frozenset[str] = frozenset()
) -> dict[str, set[str]]:
    """The alphabets of "eval", "test" and "train": disjoint, by the sha256 of their names.

    Args:
        alphabets: Of all characters, repeated or not.
        fractions: Of "eval" and "test", shares of the number of alphabets in [0, 1).
        always_train: Alphabets that only "train" may have.

    Raises:
        ConfigError: nothing is left to train on.
    """
    names = sorted(set(alphabets))
    free = [name for name in names if name not in always_train]
    order = sorted(free, key=lambda name: hashlib.sha256(name.encode()).digest())
    counts = {split: round(fraction * len(names)) for split, fraction in fractions.items()}
    if sum(counts.values()) >= len(names) or sum(counts.values()) > len(free):
        raise ConfigError(
            "the fractions of eval and test leave no alphabet to train on", where="eval_fraction",
            fix="make their sum less than 1",
        )  # fmt: skip
    parts: dict[str, set[str]] = {}
    for split, count in counts.items():
        parts[split], order = set(order[:count]), order[count:]
    return parts | {"train": set(order) | (always_train & set(names))}
