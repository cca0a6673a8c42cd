"""Thousands of picture files into one tensor, by threads, in no more memory than that tensor."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.file import decode, quiet_pillow
from aiexp.errors import DataError, MemoryFullError

logger = logging.getLogger(__name__)

# Files a thread reads before it reports: few enough to stop soon at a broken one.
_CHUNK = 32
# Names in a warning before the rest is cut.
_SHOWN = 3
# Share of the free memory that pictures may take: the network needs some too.
_USABLE = 0.8


def read_images(
    paths: Sequence[Path], image_size: int, channels: int, *, skip_bad: bool, source: str
) -> tuple[Tensor, NDArray[np.int64]]:
    """Every picture, or with `skip_bad` every readable one.

    Args:
        paths: Files; see `read_image` for what is made of one.
        image_size: Pixels of each side.
        channels: 1 or 3.
        skip_bad: Leave out files that cannot be read, with one warning; else the first of them is an error.
        source: Folder or data set, for messages.

    Returns:
        images: (N, channels, image_size, image_size) uint8.
        rows: (N,) int64, position of each in `paths`, ascending.

    Raises:
        DataError: a file cannot be read; names it.
        MemoryFullError: the pictures do not fit into memory.
    """
    shape = (len(paths), channels, image_size, image_size)
    check_memory(shape, source)
    images = torch.empty(shape, dtype=torch.uint8)

    def read_chunk(start: int) -> list[tuple[int, DataError]]:
        problems: list[tuple[int, DataError]] = []
        for row in range(start, min(start + _CHUNK, len(paths))):
            try:
                images[row] = decode(paths[row], image_size, channels)
            except DataError as error:
                problems.append((row, error))
                if not skip_bad:
                    break
        return problems

    problems: list[tuple[int, DataError]] = []
    with quiet_pillow(), ThreadPoolExecutor(_num_threads()) as pool:
        try:
            for found in pool.map(read_chunk, range(0, len(paths), _CHUNK)):
                problems += found
                if problems and not skip_bad:
                    break
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if not problems:
        return images, np.arange(len(paths))
    if not skip_bad:
        error = problems[0][1]
        raise DataError(error.what, where=error.where, fix=f"{error.fix}, or dataset.on_bad_sample=skip")
    shown = "; ".join(f"{e.where} ({e.what.split(': ', 1)[-1]})" for _, e in problems[:_SHOWN])
    logger.warning("%s: %d of %d pictures left out, the first: %s", source, len(problems), len(paths), shown)
    rows = np.setdiff1d(np.arange(len(paths)), [row for row, _ in problems])
    for place, row in enumerate(rows):  # moved up one by one: a copy of all would double the memory
        if place != row:
            images[place] = images[int(row)]
    return images[: len(rows)], rows


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


def _num_threads() -> int:
    """One for each core: decoding holds no lock."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
