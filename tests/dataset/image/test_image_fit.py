import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.dataset.image import fit as image_fit
from aiexp.dataset.image.fit import fit


def random_images(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    values = np.random.default_rng(0).integers(0, 256, (count, channels, height, width), np.uint8)
    return torch.from_numpy(values)


def test_what_fits_is_left_alone() -> None:
    images = random_images(3, 1, 8, 8)
    assert fit(images, 8, 1) is images


def test_grey_is_luma_and_colour_repeats_grey() -> None:
    images = random_images(3, 3, 8, 8)
    grey = fit(images, 8, 1)
    for image, found in zip(images, grey, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")
        assert np.abs(np.asarray(picture, int) - found[0].numpy()).max() <= 1
    assert torch.equal(fit(grey, 8, 3), grey.repeat(1, 3, 1, 1))
    assert fit(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8), 2, 1).unique().tolist() == [255]


@pytest.mark.parametrize(("shape", "size"), [((16, 16), 7), ((8, 8), 20), ((9, 21), 12)])
def test_resizes_as_pillow_does(shape: tuple[int, int], size: int) -> None:
    images = random_images(2, 3, *shape)
    found = fit(images, size, 3)
    for image, mine in zip(images, found, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        assert np.abs(np.asarray(picture, int) - mine.permute(1, 2, 0).numpy()).max() <= 1


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(11, 3, 9, 9)
    whole = fit(images, 12, 1)
    monkeypatch.setattr(image_fit, "_CHUNK_VALUES", 4 * 3 * 81)
    assert torch.equal(fit(images, 12, 1), whole)
    assert whole.is_contiguous()
    assert fit(images[:0], 12, 1).shape == (0, 1, 12, 12)
