"""Pictures of pictures: every pixel lies where the grid says."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aiexp.errors import DataError
from aiexp.task.picture_grid import GAP, LINE, MIN_CAPTIONED_TILE, break_lines, caption_font, picture_grid


def generated(channels: int, num: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, channels, 64, 64), dtype=torch.uint8, generator=generator)


def read(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_and_places(channels: int) -> None:
    images = generated(channels)
    sheet = read(picture_grid(images, 3, None))
    assert sheet.shape[:2] == (2 * (64 + GAP) + GAP, 3 * (64 + GAP) + GAP)
    for i in range(5):
        x, y = GAP + i % 3 * (64 + GAP), GAP + i // 3 * (64 + GAP)
        tile = sheet[y : y + 64, x : x + 64].reshape(64, 64, channels)
        assert (tile == images[i].permute(1, 2, 0).numpy()).all()
    assert (sheet[GAP + 64 + GAP :, GAP + 2 * (64 + GAP) :] == 255).all()  # the missing sixth


def test_float_images_and_a_short_row() -> None:
    images = generated(3, 2)
    assert picture_grid(images.float() / 255, 8, None) == picture_grid(images, 2, None)


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    images = generated(1)[:1, :, :28, :28]
    sheet = read(picture_grid(images, 1, None))
    assert sheet.shape == (56 + 2 * GAP, 56 + 2 * GAP)
    assert (sheet[GAP:-GAP:2, GAP:-GAP:2] == images[0, 0].numpy()).all()


def test_captions_stand_below_and_inside() -> None:
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    sheet = read(picture_grid(images, 2, ["cat -> dog (0.91)", "a very long caption " * 9]))
    assert sheet.shape[0] == MIN_CAPTIONED_TILE + 3 * LINE + 2 * GAP
    text = sheet[GAP + MIN_CAPTIONED_TILE :, : GAP + MIN_CAPTIONED_TILE]
    assert (text[:LINE] < 128).any()  # something is written
    assert (text[LINE:] == 255).all()  # in one line
    lines = break_lines("a very long caption " * 9 + "x" * 400, 100)
    assert len(lines) == 3
    assert all(0 < caption_font().getlength(line) <= 100 for line in lines)
    assert break_lines("", 100) == [""]
    assert caption_font().getlength(break_lines("x" * 400, 100)[0]) <= 100


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 2, 8, 8), (3, 8, 8)])
def test_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="no picture can be made"):
        picture_grid(torch.zeros(shape), 2, None)
