"""The pixels of a split: a tensor in memory, or pictures that are decoded when a batch is made."""

import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.file import BadPictureError, decode, quiet_pillow
from aiexp.dataset.image.picture import Picture, Pictures
from aiexp.errors import DataError

logger = logging.getLogger(__name__)

SKIP = "dataset.on_bad_sample=skip"
# Pictures that a thread decodes at once, when many are asked for outside of a batch.
_CHUNK = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Pixels of some rows.

    Args:
        pixels: (B, C, H, W) uint8, a copy.
        rows: (B,) int64, which rows they are: others than asked for where a picture could not be decoded.
        problems: A line for each of these, by name.
    """

    pixels: Tensor
    rows: Tensor
    problems: dict[str, str]


@final
class LazyPixels:
    """(N, C, H, W) uint8 like a tensor, decoded whenever rows are taken.

    Args:
        pictures: Encoded pictures, of this split and others.
        rows: (N,) int64, those of this split, in order.
        channels: 1 or 3.
        image_size: Height and width in pixels.
        skip_bad: Go on without a picture that cannot be decoded; else it is an error.
        num_workers: Processes that make batches; 0 makes them in the training process.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(
        self,
        pictures: Pictures,
        rows: NDArray[np.int64],
        *,
        channels: int,
        image_size: int,
        skip_bad: bool,
        num_workers: int,
    ) -> None:
        self._pictures, self._rows, self._skip_bad = pictures, rows, skip_bad
        self.shape = torch.Size((len(rows), channels, image_size, image_size))
        self.num_workers = num_workers
        self._told: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B, C, H, W): the pictures in (B,) rows; the next one for one that cannot be decoded."""
        with quiet_pillow(), ThreadPoolExecutor(num_cores()) as pool:
            parts = list(pool.map(partial(self._take, replace=True), rows.split(_CHUNK)))
        self.tell({name: problem for part in parts for name, problem in part.problems.items()})
        return torch.cat([part.pixels for part in parts])

    def take(self, rows: Tensor, *, replace: bool) -> Taken:
        """The pictures in (B,) rows.

        Args:
            rows: Which.
            replace: Take the next one for a picture that cannot be decoded; else it is left out.

        Raises:
            DataError: a picture cannot be decoded and none may be skipped, or it has changed; names it.
        """
        with quiet_pillow():
            return self._take(rows, replace=replace)

    def tell(self, problems: Mapping[str, str]) -> None:
        """Warns of pictures that could not be decoded, of each once."""
        for place in [place for place in problems if place not in self._told]:
            logger.warning(
                "%s cannot be read: %s; in training the next picture takes its place, evaluations go without",
                place,
                problems[place],
            )
            self._told.add(place)

    def _take(self, rows: Tensor, *, replace: bool) -> Taken:
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        taken: list[int] = []
        problems: dict[str, str] = {}
        for row in rows.tolist():
            decoded = self._decode(row, pixels[len(taken)], problems, self.shape[0] if replace else 1)
            if decoded is not None:
                taken.append(decoded)
        return Taken(
            pixels=torch.from_numpy(pixels[: len(taken)]),
            rows=torch.tensor(taken, dtype=torch.int64),
            problems=problems,
        )

    def _decode(
        self, row: int, pixels: NDArray[np.uint8], problems: dict[str, str], tries: int
    ) -> int | None:
        """The first of so many rows from `row` on that can be decoded; None if there is none."""
        for candidate in range(row, row + tries):
            candidate %= len(self)
            picture = self._picture(candidate)
            try:
                decode(picture, pixels)
            except BadPictureError as error:
                if not self._skip_bad:
                    raise or_skip(error) from error
                problems[picture.place] = error.what.split(": ", 1)[-1]
                continue
            return candidate
        if tries > 1:
            raise DataError("none of the pictures can be read", where=next(iter(problems)))
        return None

    def _picture(self, row: int) -> Picture:
        return self._pictures[int(self._rows[row])]


Pixels = Tensor | LazyPixels


def take(pixels: Pixels, rows: Tensor, *, replace: bool) -> Taken:
    """Copies of (B,) rows, so that nothing done to them reaches the data; see `LazyPixels.take`."""
    if isinstance(pixels, LazyPixels):
        return pixels.take(rows, replace=replace)
    return Taken(pixels=pixels.index_select(0, rows), rows=rows, problems={})


def workers_of(pixels: Pixels) -> int:
    """Processes that make batches: copying rows takes less time than any process needs to send them."""
    return pixels.num_workers if isinstance(pixels, LazyPixels) else 0


def without_problems(batches: Iterator[tuple[Any, dict[str, str]]], pixels: Pixels) -> Iterator[Any]:
    """The batches of these pixels alone; what could not be decoded is told."""
    for batch, problems in batches:
        if isinstance(pixels, LazyPixels):
            pixels.tell(problems)
        yield batch


def or_skip(error: BadPictureError) -> DataError:
    """The same error, with what else can be done."""
    return DataError(error.what, where=error.where, fix=f"{error.fix}, or {SKIP}")


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
