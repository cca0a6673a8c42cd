"""Picture files: where they lie, and one of them as pixels whatever its kind."""

import errno
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.image.picture import MAX_BYTES, Picture, file_pictures
from aiexp.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# What counts as a picture in a folder, by the end of its name in lower case.
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
# How Pillow calls their formats; no others are tried, whatever the name: an EPS would start Ghostscript.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
# Folders that Mac OS, Windows, network drives and tools put beside the user's.
RESOURCE_FOLDERS = frozenset(
    ("__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
)
# Pillow's own bound: larger pictures are taken for decompression bombs.
MAX_PIXELS = 89_478_485
# Of these Pillow has 16-bit grey in its mode of 32 bits.
_SIXTEEN_BIT = ("PNG", "PPM")
_SHORT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}


def find_images(folder: Path) -> list[Path]:
    """Picture files in `folder` and its sub-folders, sorted; hidden ones, pipes and devices are left out.

    Raises:
        DataError: a folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        raise DataError(f"the folder cannot be listed: {error.strerror}", where=str(error.filename))

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [
            Path(parent, name)
            for name in files
            if not is_hidden(name) and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return sorted(path for path in found if path.is_file())


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's own: `.DS_Store`, and what archives of a Mac leave behind."""
    return name.startswith(".") or name in RESOURCE_FOLDERS


def read_image(path: Path, image_size: int, channels: int) -> Tensor:
    """(channels, image_size, image_size) uint8: the largest centred square of a picture, resized.

    That is the same as resizing the shorter side and cutting the rest off: bilinear with antialias. A JPEG of
    more than four times the size is read at a reduced scale, which is several times faster and changes smooth
    pictures by less than 1 of 255 on average (tested). Transparency is put on white, 16-bit grey scaled to
    8 bits, CMYK turned into colours, the camera's orientation (EXIF) obeyed; of an animation the first
    picture counts.

    Args:
        path: A file in one of `FORMATS`, whatever its name.
        image_size: Pixels of each side.
        channels: 1 for grey (luma of ITU-R BT.601) or 3.

    Raises:
        DataError: the file cannot be read; names it.
    """
    pixels = np.empty((channels, image_size, image_size), np.uint8)
    with quiet_pillow():
        decode(file_pictures([path])[0], pixels)
    return torch.from_numpy(pixels)


@contextmanager
def quiet_pillow() -> Generator[None]:
    """A body in which Pillow's warnings (odd metadata, large pictures) are not shown.

    Python's warning filters are one for all threads: enter it in the thread that starts readers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class BadPictureError(DataError):
    """A picture that nobody can read; `dataset.on_bad_sample=skip` goes on without it."""


def decode(picture: Picture, pixels: NDArray[np.uint8]) -> bytes:
    """Reads a picture into (C, size, size) as `read_image` does, for many threads inside one `quiet_pillow`.

    Returns:
        The encoded picture.

    Raises:
        BadPictureError: it cannot be read; names it.
        DataError: the machine is short of something, or the picture has changed.
    """
    data = read_bytes(picture)
    channels, image_size, _ = pixels.shape
    with picture_errors(picture, len(data)), opened(data) as image:
        # The smallest scale a JPEG can be read at without falling below twice the size.
        image.draft(None, (2 * image_size, 2 * image_size))
        image.load()
        flat = _upright(_without_transparency(image), _orientation(image))
        mode = "L" if channels == 1 else "RGB"
        square = _centre_square(flat if flat.mode == mode else flat.convert(mode), image_size)
        # Band by band: a third of the time of taking (H, W, C) and turning it (measured).
        for plane, band in zip(pixels, (square,) if channels == 1 else square.split(), strict=True):
            plane[:] = band
    return data


def read_bytes(picture: Picture, start: int = 0, stop: int | None = None) -> bytes:
    """Some bytes of a picture, or all; raises as `decode` does."""
    with picture_errors(picture, 1):
        if picture.size > MAX_BYTES:
            raise ValueError(f"it has {picture.size:,} bytes, more than {MAX_BYTES:,}")
        return picture.read(start, stop)


@contextmanager
def opened(data: bytes) -> Generator["Image"]:
    """An encoded picture whose header was read: its format and size are accepted."""
    from PIL import Image

    with Image.open(BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"it declares {width}x{height} pixels, more than {MAX_PIXELS:,}")
        if image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BIT):
            raise ValueError(f"its pixels are 32-bit numbers (mode {image.mode}): save it with 8 or 16 bits")
        yield image


@contextmanager
def picture_errors(picture: Picture, num_bytes: int) -> Generator[None]:
    """Turns whatever a damaged picture of so many bytes leads to into one line that names it."""
    try:
        yield
    except (MemoryError, DataError):
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads to
        if isinstance(error, OSError) and error.errno in _SHORT_OF_RESOURCES:
            raise DataError(f"the picture cannot be read: {error.strerror}", where=picture.place) from error
        raise BadPictureError(
            f"the picture cannot be read: {_reason(error, num_bytes)}",
            where=picture.place,
            fix="repair or remove it",
        ) from error


def _without_transparency(image: "Image") -> "Image":
    """The picture in 8 bits a channel, on white where it is transparent."""
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image, np.int64)  # (H, W) in [0, 65535]
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colours.size, (255, 255, 255, 255)), colours)


def _orientation(image: "Image") -> int:
    """What the camera says of how it was held (EXIF), 1 for upright or when it says nothing readable."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # whatever damaged metadata lead to; the pixels are fine
        return 1


def _upright(image: "Image", orientation: int) -> "Image":
    """The picture as it was seen."""
    if orientation == 1:
        return image
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _centre_square(image: "Image", image_size: int) -> "Image":
    """The largest centred square, of that size."""
    from PIL import Image

    width, height = image.size
    side = min(width, height)
    # In half pixels if need be, so that the square of a mirrored or turned picture is the same.
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    if (width, height) != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR, box=box)
    return image


def _reason(error: Exception, num_bytes: int) -> str:
    """Why, in a few words without the path."""
    from PIL import UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "it is empty" if num_bytes == 0 else "it is not a picture"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    first = (str(error).strip().splitlines() or [""])[0]
    return first or type(error).__name__
