"""Thousands of picture files into one tensor, by threads, in no more memory than that tensor."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.file import BadPictureError, decode, quiet_pillow
from aiexp.dataset.image.picture import DIGEST_BYTES, Pictures, digest_of
from aiexp.dataset.image.pixels import num_cores, or_skip
from aiexp.errors import MemoryFullError

logger = logging.getLogger(__name__)

# Files a thread reads before it reports: few enough to stop soon at a broken one.
_CHUNK = 32
# Names in a warning before the rest is cut.
_SHOWN = 3
# Share of the free memory that pictures may take: the network needs some too.
_USABLE = 0.8


def read_images(
    pictures: Pictures, image_size: int, channels: int, *, skip_bad: bool, source: str
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.uint8]]:
    """Every picture, or with `skip_bad` every readable one.

    Args:
        pictures: Encoded; see `read_image` for what is made of one.
        image_size: Pixels of each side.
        channels: 1 or 3.
        skip_bad: Leave out files that cannot be read, with one warning; else the first of them is an error.
        source: Folder or data set, for messages.

    Returns:
        images: (N, channels, image_size, image_size) uint8.
        rows: (N,) int64, position of each in `pictures`, ascending.
        digests: (N, 16) uint8, see `digest_of`.

    Raises:
        DataError: a file cannot be read; names it.
        MemoryFullError: the pictures do not fit into memory.
    """
    shape = (len(pictures), channels, image_size, image_size)
    check_memory(shape, source)
    images = torch.empty(shape, dtype=torch.uint8)
    pixels = images.numpy()
    digests = np.zeros((len(pictures), DIGEST_BYTES), np.uint8)

    def read_chunk(start: int) -> list[tuple[int, BadPictureError]]:
        problems: list[tuple[int, BadPictureError]] = []
        for row in range(start, min(start + _CHUNK, len(pictures))):
            try:
                data = decode(pictures[row], pixels[row])
                digests[row] = np.frombuffer(digest_of(len(data), data, data), np.uint8)
            except BadPictureError as error:
                problems.append((row, error))
                if not skip_bad:
                    break
        return problems

    problems: list[tuple[int, BadPictureError]] = []
    with quiet_pillow(), ThreadPoolExecutor(num_cores()) as pool:
        try:
            for found in pool.map(read_chunk, range(0, len(pictures), _CHUNK)):
                problems += found
                if problems and not skip_bad:
                    break
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if not problems:
        return images, np.arange(len(pictures)), digests
    rows = without_bad(dict(problems), len(pictures), skip_bad=skip_bad, source=source)
    for place, row in enumerate(rows):  # moved up one by one: a copy of all would double the memory
        if place != row:
            images[place] = images[int(row)]
    return images[: len(rows)], rows, digests[rows]


def without_bad(
    bad: Mapping[int, BadPictureError], count: int, *, skip_bad: bool, source: str
) -> NDArray[np.int64]:
    """The rows below `count` of the pictures that can be read, with one warning of the others.

    Raises:
        DataError: there are others, and none may be skipped.
    """
    rows = np.arange(count)
    if not bad:
        return rows
    if not skip_bad:
        raise or_skip(next(iter(bad.values())))
    shown = "; ".join(f"{e.where} ({e.what.split(': ', 1)[-1]})" for e in islice(bad.values(), _SHOWN))
    logger.warning("%s: %d of %d pictures left out, the first: %s", source, len(bad), count, shown)
    return np.delete(rows, list(bad))


def fits(shape: tuple[int, int, int, int], share: float) -> bool:
    """Whether pictures of this shape (N, C, H, W) take at most this share of the free memory."""
    free = available_bytes()
    return free is None or int(np.prod(shape, dtype=np.int64)) <= share * free


def check_memory(shape: tuple[int, int, int, int], source: str) -> None:
    """Stops before pictures of this shape (N, C, H, W) fill the memory.

    Raises:
        MemoryFullError: they need more than `_USABLE` of what is free; says which size would fit.
    """
    free = available_bytes()
    needed = int(np.prod(shape, dtype=np.int64))
    if free is None or needed <= _USABLE * free:
        return
    count, channels, size, _ = shape
    fitting = int((_USABLE * free / (count * channels)) ** 0.5)
    raise MemoryFullError(
        f"{count:,} pictures of {channels}x{size}x{size} bytes need {needed / 1e9:.1f} GB, "
        f"and {free / 1e9:.1f} GB of memory are free",
        where=source,
        fix=f"image_size={max(fitting, 1)} or smaller, "
        f"or limit={max(int(_USABLE * free / (needed / count)), 1)} or less",
    )


def available_bytes() -> int | None:
    """Memory that can be had without swapping, within the limit of the container; None where nobody says."""
    found = [count * 1024 for count in _counts("/proc/meminfo", "MemAvailable:")]
    for limit, used, stat, reclaimable in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        numbers = [count for name in (limit, used) for count in _counts(f"/sys/fs/cgroup/{name}", "")]
        if len(numbers) == 2:
            # Files that were read lately count as used, but give way.
            cached = _counts(f"/sys/fs/cgroup/{stat}", reclaimable)
            found.append(numbers[0] - numbers[1] + sum(cached))
    return max(min(found), 0) if found else None


def _counts(path: str, word: str) -> list[int]:
    """The number after `word` at the start of a line, [] when there is none ("max" is no limit)."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    words = [line.removeprefix(word).split() for line in lines if line.startswith(word)]
    return [int(parts[0]) for parts in words if parts and parts[0].isdigit()]
