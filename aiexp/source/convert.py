"""Brings what an archive holds into the files of the cache, the same bytes whichever source served."""

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiexp.source.failure import SourceFailed
from aiexp.source.idx import write_idx

_ADDRESS = re.compile(r"\S@\S+\.\w")
_CIFAR_SIZES = (3, 32, 32)  # channels, height, width


def convert(name: str, members: tuple[str, ...], folder: Path) -> None:
    """Runs the conversion called `name`: reads `members` in `folder`, writes beside them.

    Raises:
        SourceFailed: the files are not what the conversion reads.
    """
    steps: dict[str, Callable[[tuple[str, ...], Path], None]] = {
        "gunzip": _gunzip,
        "cifar_strips": _cifar_strips,
        "conversations": _conversations,
    }
    try:
        steps[name](members, folder)
    except (EOFError, zlib.error, ValueError, SyntaxError) as error:  # Pillow: SyntaxError for a broken PNG
        raise SourceFailed(f"cannot be converted: {error}") from None


def _gunzip(members: tuple[str, ...], folder: Path) -> None:
    """Writes `x` for each `x.gz`."""
    for path in [folder / name for name in members]:
        with gzip.open(path) as stream, path.with_suffix("").open("xb") as out:
            shutil.copyfileobj(stream, out)


def _cifar_strips(members: tuple[str, ...], folder: Path) -> None:
    """CIFAR-10 from strips: each row of pixels is one picture, its 32 rows one after another."""
    for part, strip, word in (("train", "data", "train"), ("t10k", "test", "test")):
        strips = [folder / m for m in members if m.startswith(strip) and m.endswith(".png")]
        labels = bytes(json.loads((folder / f"{word}_lables.json").read_bytes()))
        write_cifar(folder, part, _strip_pixels(strips), labels)


def _conversations(members: tuple[str, ...], folder: Path) -> None:
    """JSON of conversations as text: a line a turn, an empty one between two; turns with addresses go."""
    (path,) = [folder / name for name in members]
    conversations: dict[str, Any] = json.loads(path.read_bytes())
    texts: list[str] = []
    for conversation in conversations.values():
        turns = [" ".join(part["text"] for part in turn) for turn in conversation["messages"]]
        lines = [" ".join(turn.split()) for turn in turns if not _ADDRESS.search(turn)]
        texts.append("\n".join(line for line in lines if line))
    with path.with_name("conversations.txt").open("xb") as file:
        file.write(("\n\n".join(filter(None, texts)) + "\n").encode())


def _strip_pixels(paths: list[Path]) -> Iterator[bytes]:
    try:
        import numpy as np
        from PIL import Image
    except ImportError:
        raise SourceFailed("pillow is not installed: pip install pillow") from None
    channels, height, width = _CIFAR_SIZES
    for path in paths:
        with Image.open(path, formats=("PNG",)) as image:
            pixels = np.asarray(image.convert("RGB")).reshape(-1, height, width, channels)
        yield np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).tobytes()  # (N, C, H, W)


def write_cifar(folder: Path, part: str, pixels: Iterator[bytes], labels: bytes) -> None:
    """Writes one part of CIFAR-10 as `<part>-images-idx4-ubyte` and `<part>-labels-idx1-ubyte`.

    Args:
        folder: Where to.
        part: "train" or "t10k", as the files of MNIST are called.
        pixels: uint8 (N, C, H, W) in parts.
        labels: One byte each.
    """
    write_idx(folder / f"{part}-images-idx4-ubyte", (len(labels), *_CIFAR_SIZES), pixels)
    write_idx(folder / f"{part}-labels-idx1-ubyte", (len(labels),), [labels])
