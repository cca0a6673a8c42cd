"""How samples have grown: the same tiles of a sheet of pictures, evaluation by evaluation."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from aiexp.figure.style import PAGE, Drawn, drawing, saved

if TYPE_CHECKING:
    import numpy as np

SHEET = "aiexp:sheet"  # of a PNG's text, where a sheet says how its tiles lie
MOST_SHEETS = 9
FEWEST_SHEETS = 3
GAP = 2  # pixels between tiles
LARGEST_BYTES = 20_000_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Where the tiles of a picture lie, and which are to be followed; all in pixels.

    Args:
        columns: Tiles in a row.
        width: Of a tile.
        height: Of a tile.
        gap: Between tiles, and before the first.
        row_height: Of a row with its gap and its captions.
        followed: Numbers of the tiles that are the same sample each time.
        beside: Numbers of tiles that stay, one beside each of the followed: what it was made from.
    """

    columns: int
    width: int
    height: int
    gap: int
    row_height: int
    followed: Sequence[int]
    beside: Sequence[int] = ()

    def text(self) -> str:
        """For a PNG."""
        return json.dumps(asdict(self))

    def tile(self, pixels: "np.ndarray[Any, Any]", number: int) -> "np.ndarray[Any, Any]":
        """(height, width, 3) uint8: a tile of a sheet's pixels."""
        row, column = divmod(number, self.columns)
        y, x = self.gap + row * self.row_height, self.gap + column * (self.width + self.gap)
        return pixels[y : y + self.height, x : x + self.width]


def read_sheet(data: bytes) -> "tuple[Sheet, np.ndarray[Any, Any]] | None":
    """A sheet and its pixels, (H, W, 3) uint8; None of a picture that is none."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            text = image.info.get(SHEET)
            if not isinstance(text, str):
                return None
            sheet = Sheet(**json.loads(text))
            return sheet, np.asarray(image.convert("RGB"))
    except (OSError, ValueError, TypeError, Image.DecompressionBombError):
        return None


def growth_figure(sheets: Mapping[int, bytes]) -> Drawn | None:
    """A strip: a row for each sample that is followed, a column for each of some evaluations.

    Args:
        sheets: PNGs by step, in ascending order.

    Returns:
        None where there are too few, or they are no sheets.
    """
    read = {step: found for step, data in sheets.items() if (found := read_sheet(data)) is not None}
    steps = list(read)
    if len(steps) < FEWEST_SHEETS or not read[steps[0]][0].followed:
        return None
    first = read[steps[0]][0]
    steps = [step for step in steps if read[step][0] == first]
    chosen = [steps[i * (len(steps) - 1) // (MOST_SHEETS - 1)] for i in range(MOST_SHEETS)]
    columns = [read[step][1] for step in dict.fromkeys(chosen)]
    names = [f"step {step:,}" for step in dict.fromkeys(chosen)]
    tiles = [[first.tile(pixels, number) for number in first.followed] for pixels in columns]
    if first.beside:
        tiles.insert(0, [first.tile(columns[-1], number) for number in first.beside])
        names.insert(0, "given")
    return strip(tiles, names)


def strip(tiles: "list[list[np.ndarray[Any, Any]]]", names: list[str]) -> Drawn:
    """Columns of tiles of one size below their names."""
    import numpy as np

    height, width, _ = tiles[0][0].shape
    rows = min(map(len, tiles))
    sheet = np.full((rows * (height + GAP) - GAP, len(tiles) * (width + GAP) - GAP, 3), 255, np.uint8)
    for x, column in enumerate(tiles):
        for y, tile in enumerate(column[:rows]):
            top, left = y * (height + GAP), x * (width + GAP)
            sheet[top : top + height, left : left + width] = tile
    with drawing(PAGE, PAGE * sheet.shape[0] / sheet.shape[1] + 0.2) as figure:
        axes = figure.add_subplot()
        axes.imshow(sheet, interpolation="nearest")
        axes.set_axis_off()
        for x, name in enumerate(names):
            place = x * (width + GAP) + width / 2, -0.06 * height
            axes.text(*place, name, ha="center", va="bottom", fontsize=7)
        return saved(figure)
