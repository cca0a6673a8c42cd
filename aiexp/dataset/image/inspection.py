"""The first pass over picture files: each is looked at without being decoded, once.

Its header is read and its end must be there; only a picture that looks damaged, and the few formats that do
not say where they end, are decoded. So no whole picture is called damaged, and one that was cut off is found
before the first step; what lies wrong in the middle shows when it is used.
"""

import struct
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.image.file import MAX_PIXELS, BadPictureError, decode, opened, quiet_pillow, read_bytes
from aiexp.dataset.image.picture import DIGEST_BYTES, EDGE_BYTES, Picture, Pictures, digest_of, is_compressed
from aiexp.dataset.loader import ordered_batches
from aiexp.source.prepared import prepared
from aiexp.storage.arrays import ArraysWriter

_VERSION = 1
# Mark, kind, length; of a frame also bits, height, width, colours (ITU-T T.81, B.2.2).
_JPEG_SEGMENT = struct.Struct(">BBHBHHB")
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
# Where the header of a picture ends; first guess, and where a camera has put a preview before it.
_HEAD_BYTES = (16_384, 262_144)
# Of a picture that is decoded only to see whether that can be done.
_TRIED_SIZE = 32
# Pictures that a process looks at before it reports; fewer in all are looked at here.
_CHUNK = 512
_FEW = 4 * _CHUNK


def inspect(picture: Picture) -> bytes:
    """The digest of a picture that can be read, as far as its header and end tell.

    Raises:
        BadPictureError: it cannot; names it.
        DataError: the machine is short of something, or the picture has changed.
    """
    head = read_bytes(picture, 0, min(_HEAD_BYTES[0], picture.size))
    tail = head if len(head) == picture.size else read_bytes(picture, picture.size - EDGE_BYTES, picture.size)
    if is_compressed(head) and _has_end(picture.size, head, tail) and _has_header(picture, head):
        return digest_of(picture.size, head, tail)
    data = decode(picture, np.empty((3, _TRIED_SIZE, _TRIED_SIZE), np.uint8))
    return digest_of(len(data), data, data)


def inspected(
    pictures: Pictures, key: Mapping[str, Any], what: str, num_workers: int
) -> tuple[NDArray[np.uint8], dict[int, BadPictureError]]:
    """Looks at every picture, or remembers what an earlier start has seen.

    A picture that was found bad is looked at again by every start: what is wrong may have been a permission.

    Args:
        pictures: Which.
        key: Everything that tells these pictures from others, as JSON.
        what: What they are, for people.
        num_workers: Processes that look.

    Returns:
        digests: (N, 16) uint8; zeros for bad ones.
        bad: What is wrong with the others, by row, ascending.

    Raises:
        DataError: the machine is short of something, or a picture has changed meanwhile.
    """

    def make(writer: ArraysWriter) -> Mapping[str, Any]:
        count = len(pictures)
        digests = writer.array("digests", "u1")
        for chunk in ordered_batches(
            _Inspection(pictures),
            start=0,
            stop=-(-count // _CHUNK),
            num_workers=num_workers if count > _FEW else 0,
            name="first look at pictures,",
        ):
            digests.append(np.asarray(chunk).reshape(-1))
        return {"pictures": count}

    stored = prepared("pictures", {"version": _VERSION, **key}, what, make)["digests"]
    digests = np.array(stored.between(0, len(stored))).reshape(-1, DIGEST_BYTES)
    bad: dict[int, BadPictureError] = {}
    with quiet_pillow():
        for row in np.flatnonzero(~digests.any(1)).tolist():
            try:
                digests[row] = np.frombuffer(inspect(pictures[row]), np.uint8)
            except BadPictureError as error:
                bad[row] = error
    return digests, bad


@final
class _Inspection:
    """(B, 16) uint8: the digests of the pictures of chunk `k`; zeros for bad ones."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    def __call__(self, number: int) -> NDArray[np.uint8]:
        rows = range(number * _CHUNK, min((number + 1) * _CHUNK, len(self._pictures)))
        digests = np.zeros((len(rows), DIGEST_BYTES), np.uint8)
        with quiet_pillow():
            for digest, row in zip(digests, rows, strict=True):
                try:
                    digest[:] = np.frombuffer(inspect(self._pictures[row]), np.uint8)
                except BadPictureError:
                    continue
        return digests


def _has_header(picture: Picture, head: bytes) -> bool:
    """Whether Pillow accepts what stands before the pixels; a doubt is settled by decoding."""
    for length in _HEAD_BYTES:
        if length > _HEAD_BYTES[0]:
            head = read_bytes(picture, 0, min(length, picture.size))
        if _is_common_jpeg(head):
            return True
        try:
            with opened(head):
                return True
        except MemoryError:
            raise
        except Exception:  # whatever Pillow's readers raise
            if len(head) == picture.size:
                return False
    return False


def _is_common_jpeg(head: bytes) -> bool:
    """Whether a JPEG of 8 bits and an accepted size begins here; a tenth of what asking Pillow takes."""
    place = 2 if head.startswith(b"\xff\xd8") else len(head)
    while place + 10 <= len(head):
        mark, kind, length, bits, height, width, components = _JPEG_SEGMENT.unpack_from(head, place)
        if mark != 0xFF or not 0xC0 <= kind < 0xFF or 0xD0 <= kind <= 0xDA:
            return False  # padding, or pixels before their size
        if kind in _JPEG_FRAMES:
            return bits == 8 and components in (1, 3, 4) and 0 < height * width <= MAX_PIXELS
        place += 2 + length
    return False


def _has_end(size: int, head: bytes, tail: bytes) -> bool:
    """Whether a JPEG, PNG, GIF or WebP of so many bytes ends as it should."""
    if head.startswith(b"\xff\xd8"):
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG"):
        return tail.endswith(b"IEND\xaeB`\x82")
    if head.startswith(b"GIF8"):
        return tail.endswith(b";")
    return int.from_bytes(head[4:8], "little") + 8 <= size
