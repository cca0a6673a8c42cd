"""Many small images as one PNG, with a caption below each if wanted."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aiexp.errors import DataError
from aiexp.figure.growth import SHEET, Sheet

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

# Pixels. Small images are enlarged by a whole factor, so that one pixel stays one square.
MIN_TILE, MIN_CAPTIONED_TILE = 56, 128
GAP, LINE, MAX_LINES = 4, 14, 3
BACKGROUND, INK = 255, 0


def picture_grid(
    images: Tensor,
    columns: int,
    captions: list[str] | None,
    *,
    followed: Sequence[int] = (),
    beside: Sequence[int] = (),
) -> bytes:
    """A PNG of images in rows, from left to right and top to bottom.

    Args:
        images: (N, C, H, W) uint8, or float in [0, 1]; C is 1 (grey) or 3 (RGB). On any device.
        columns: Images in a row; fewer images than that give one shorter row.
        captions: N texts, or None for no captions. Long ones are broken into lines, at most three.
        followed: Images that are the same sample at every evaluation, of which a run shows the growth.
        beside: Images to show beside each of these: what it was made from.

    Raises:
        DataError: there is no image, or they have neither 1 nor 3 channels.
    """
    if images.ndim != 4 or images.shape[0] == 0 or images.shape[1] not in (1, 3):
        raise DataError(f"no picture can be made of images of shape {tuple(images.shape)}", where="images")
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    num, _, height, width = images.shape
    columns = max(1, min(columns, num))
    smallest = MIN_TILE if captions is None else MIN_CAPTIONED_TILE
    factor = max(1, -(-smallest // max(height, width)))
    tile_width, tile_height = width * factor, height * factor
    lines = [] if captions is None else [break_lines(c, tile_width) for c in captions]
    text_height = max((len(each) for each in lines), default=0) * LINE
    cell_width, cell_height = tile_width + GAP, tile_height + text_height + GAP
    size = (columns * cell_width + GAP, -(-num // columns) * cell_height + GAP)
    mode = "L" if images.shape[1] == 1 else "RGB"
    sheet = Image.new(mode, size, BACKGROUND if mode == "L" else (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures(images)):
        x, y = GAP + i % columns * cell_width, GAP + i // columns * cell_height
        sheet.paste(picture.resize((tile_width, tile_height), Image.Resampling.NEAREST), (x, y))
        for j, line in enumerate(lines[i] if lines else []):
            write(draw, (x, y + tile_height + j * LINE), line, mode)
    where = Sheet(
        columns=columns, width=tile_width, height=tile_height, gap=GAP, row_height=cell_height,
        followed=list(followed), beside=list(beside),
    )  # fmt: skip
    text = PngInfo()
    if followed:
        text.add_text(SHEET, where.text())
    buffer = io.BytesIO()
    sheet.save(buffer, format="png", pnginfo=text)
    return buffer.getvalue()


def pictures(images: Tensor) -> "list[Picture]":
    """One Pillow image for each of (N, C, H, W)."""
    from PIL import Image

    if images.is_floating_point():
        images = (images.detach().float() * 255).round().clamp(0, 255).to(torch.uint8)
    arrays = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C)
    return [Image.fromarray(a[:, :, 0] if a.shape[2] == 1 else a) for a in arrays]


def pngs(images: Tensor) -> list[bytes]:
    """A PNG for each of (N, C, H, W) uint8 or float in [0, 1], of its own size."""
    files: list[bytes] = []
    for picture in pictures(images):
        buffer = io.BytesIO()
        picture.save(buffer, format="png")
        files.append(buffer.getvalue())
    return files


def write(draw: "ImageDraw", position: tuple[int, int], line: str, mode: str) -> None:
    """A line of text in the font that Pillow carries, which lacks some scripts: those show as boxes."""
    ink: Any = INK if mode == "L" else (INK,) * 3
    draw.text(position, line, fill=ink, font=caption_font())


def caption_font() -> Any:
    """Pillow's own scalable font."""
    from PIL import ImageFont

    return ImageFont.load_default(size=11)


def break_lines(text: str, width: int) -> list[str]:
    """A caption in at most `MAX_LINES` lines of at most `width` pixels, cut where it must be."""
    font = caption_font()
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines = [*lines, line]
    return [cut(each, width, font) for each in lines[:MAX_LINES]]


def cut(line: str, width: int, font: Any) -> str:
    """A line without what would run over its tile."""
    while line and font.getlength(line) > width:
        line = line[:-1]
    return line
