"""Files of unsigned bytes in MNIST's format, the form in which picture data sets lie in the cache.

The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each size as a big-endian
32-bit number, then the data.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UBYTE = 8


def read_idx(path: Path) -> "NDArray[np.uint8]":
    """The array in a file.

    Raises:
        DataError: it is not such a file, or cut off.
    """
    import numpy as np

    with path.open("rb") as stream:
        head = stream.read(4)
        header = stream.read(4 * head[3]) if len(head) == 4 else b""
        data = np.fromfile(stream, np.uint8)
    sizes = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
    is_whole = len(head) == 4 and len(sizes) == head[3] and data.size == math.prod(sizes)
    if not is_whole or head[:3] != bytes((0, 0, _UBYTE)):
        raise DataError("not an idx file of unsigned bytes", where=str(path), fix="fetch it again")
    return data.reshape(sizes)


def write_idx(path: Path, sizes: tuple[int, ...], parts: Iterable[bytes]) -> None:
    """Writes an array given in parts, so that it need not be in memory at once.

    Args:
        path: Must not exist.
        sizes: Shape of the whole array.
        parts: Its bytes in order.
    """
    with path.open("xb") as stream:
        stream.write(bytes((0, 0, _UBYTE, len(sizes))))
        stream.write(b"".join(size.to_bytes(4, "big") for size in sizes))
        for part in parts:
            stream.write(part)
