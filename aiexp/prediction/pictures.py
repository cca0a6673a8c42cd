"""Pictures as inputs, decoded as those of a folder to train on."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.file import SUFFIXES, decode, quiet_pillow
from aiexp.dataset.image.picture import MAX_BYTES, FilePicture, Picture
from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.prediction.inputs import Inputs, Json, refused
from aiexp.prediction.network import Port

THREADS = 4
# Smaller files are decoded in the time that threads take to hand Python's lock around (measured: 28 pixels in
# PNG, 1 thread 5,600/s, 4 threads 3,700/s).
SMALL_BYTES = 8192
DIRECTIONS = ("a_to_b", "b_to_a")


@final
@dataclass(frozen=True, slots=True)
class HeldPicture:
    """An encoded picture in memory.

    Args:
        data: As in a file.
    """

    data: bytes

    @property
    def place(self) -> str:
        """It has no path."""
        return "a picture"

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.data)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of its bytes, or all."""
        return self.data[start:stop]


class PictureInputs(Inputs):
    """Pictures: paths of files, their bytes, or pixels of the right size.

    Args:
        image_size: Pixels of each side, as in training: the largest centred square, resized.
        channels: 1 for grey or 3.
    """

    noun = "a picture"
    example = "PICTURE"
    suffixes = SUFFIXES
    schema: ClassVar[Json] = {
        "type": "string",
        "contentEncoding": "base64",
        "description": "the picture's file (PNG, JPEG, GIF, BMP, TIFF, WebP) in base64",
    }

    def __init__(self, image_size: int, channels: int) -> None:
        self.image_size, self.channels = image_size, channels
        self._pool: ThreadPoolExecutor | None = None

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        """(C, H, W) uint8 of each picture."""
        if len(values) < THREADS or _num_bytes(values[0]) < SMALL_BYTES:
            with quiet_pillow():
                return [self._read(value) for value in values]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures")
        with quiet_pillow():
            size = max(1, len(values) // (4 * THREADS))
            parts = [values[i : i + size] for i in range(0, len(values), size)]
            return [one for part in self._pool.map(self._read_some, parts) for one in part]

    def collate(self, examples: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
        """Images (B, C, H, W) uint8."""
        return {"images": torch.from_numpy(np.stack(examples))}

    def ports(self) -> dict[str, Port]:
        """Of any number of pictures."""
        sizes = ("batch", self.channels, self.image_size, self.image_size)
        return {"images": Port(sizes=sizes, dtype=torch.uint8)}

    def _read_some(self, values: Sequence[Any]) -> list[Any]:
        return [self._read(value) for value in values]

    def _read(self, value: Any) -> NDArray[np.uint8] | AiexpError:
        """One picture, or why not."""
        try:
            if isinstance(value, Tensor):
                value = value.numpy()
            if isinstance(value, np.ndarray):
                return self._checked(value)
            pixels = np.empty((self.channels, self.image_size, self.image_size), np.uint8)
            decode(encoded(value), pixels)
        except AiexpError as error:
            return error
        return pixels

    def _checked(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Pixels as they are, if they are as they must be."""
        wanted = (self.channels, self.image_size, self.image_size)
        if pixels.dtype != np.uint8 or pixels.shape != wanted:
            raise DataError(
                f"an array of {pixels.dtype} {pixels.shape} is no picture here", fix=f"uint8 {wanted}"
            )
        return pixels


@final
class TranslatedPictures(PictureInputs):
    """Pictures of one of two kinds, to be made into the other.

    Args:
        image_size: As of `PictureInputs`.
        channels: As of `PictureInputs`.
    """

    example = "PICTURES --out translated"
    options = ("direction",)
    remote_options: ClassVar[Mapping[str, Json]] = {
        "direction": {"type": "string", "enum": list(DIRECTIONS), "default": DIRECTIONS[0]}
    }

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__(image_size, channels)
        self.direction = DIRECTIONS[0]

    def configure(self, **options: Any) -> None:
        """Takes `direction`: "a_to_b" (the default) or "b_to_a"."""
        super().configure(**options)
        direction = options.get("direction", self.direction)
        if direction not in DIRECTIONS:
            raise ConfigError(f"--direction is {direction}", fix=" or ".join(DIRECTIONS))
        self.direction = direction

    def collate(self, examples: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
        """Images (B, C, H, W) uint8, and the direction."""
        return super().collate(examples) | {"direction": self.direction}


def _num_bytes(value: Any) -> int:
    """Of an encoded picture, 0 for what is none."""
    if isinstance(value, bytes):
        return len(value)
    try:
        return os.stat(value).st_size if isinstance(value, str | Path) else 0
    except (OSError, ValueError):  # said when it is read
        return 0


def encoded(value: Any) -> Picture:
    """The picture that a value stands for.

    Raises:
        DataError: it stands for none.
    """
    if isinstance(value, bytes):
        return HeldPicture(value)
    if isinstance(value, str | Path):
        return FilePicture(os.fspath(value), MAX_BYTES)
    raise refused(PictureInputs.noun, value)
