"""Random flips, crops and holes for a whole batch of images at once, each drawn from its example's seed."""

from typing import final

import torch
from torch import Tensor

from aiexp.dataset.draws import seeded_integers, seeded_uniform
from aiexp.errors import ConfigError
from aiexp.ranges import NonNegativeInt

# Tensor letters: B batch, C channels, H height, W width.

# Streams of random numbers; `mixing.py` begins at 16.
FLIP, CROP_Y, CROP_X, HOLE_Y, HOLE_X = range(5)


@final
class Augmentation:
    """Changes images at random, on their own device, without a loop over examples.

    What becomes of an example depends on nothing but the example and its seed: not on the rest of the batch,
    the device, or any generator. So a resumed run sees the same images.

    Source: reflected crops as in He et al. 2015 (arXiv 1512.03385, section 4.2); cutout, DeVries & Taylor
    2017 (arXiv 1708.04552).
    Departures: crops reflect at the border instead of adding black; a hole takes the image's own mean colour,
    so that one rule serves every range of values.

    Args:
        flip: Mirror left and right, for half of the images.
        crop: Shift by up to so many pixels each way, reflecting at the border; 0 does not shift.
        cutout: Side in pixels of a square hole around a random pixel, cut off at the border; 0 makes none.
    """

    def __init__(self, *, flip: bool, crop: NonNegativeInt, cutout: NonNegativeInt) -> None:
        self.flip, self.crop, self.cutout = flip, crop, cutout

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Changed images, of the same shape and type.

        Args:
            images: (B, C, H, W) uint8 or float, in any range.
            seeds: (B,) int64, on the same device.

        Raises:
            ConfigError: the images are too small for this crop.
        """
        if self.flip or self.crop:
            images = self._shifted(images, seeds)
        return punched(images, seeds, self.cutout) if self.cutout else images

    def _shifted(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Images shifted and mirrored."""
        num, channels, height, width = images.shape
        if self.crop >= min(height, width):
            raise ConfigError(
                f"crop is {self.crop}: too large for images of {height} x {width} pixels",
                where="Augmentation.crop", fix=f"at most {min(height, width) - 1}",
            )  # fmt: skip
        if self.crop:
            rows = self._sources(height, seeds, CROP_Y)  # (B, H)
            # Whole rows first: contiguous copies, 1.4 times as fast as gathering single pixels.
            planes = torch.arange(num * channels, device=seeds.device).view(num, channels, 1)
            numbers = (planes * height + rows[:, None, :]).flatten()
            images = images.reshape(-1, width).index_select(0, numbers).view(images.shape)
        columns = self._sources(width, seeds, CROP_X) if self.crop else None
        if self.flip:
            is_flipped = seeded_uniform(seeds, FLIP) < 0.5
            if columns is None:
                return torch.where(is_flipped[:, None, None, None], images.flip(3), images)
            columns = torch.where(is_flipped[:, None], columns.flip(1), columns)
        assert columns is not None
        return images.gather(3, columns[:, None, None, :].expand(images.shape))

    def _sources(self, size: int, seeds: Tensor, stream: int) -> Tensor:
        """(B, size) int64: which row (or column) comes to each place."""
        shift = seeded_integers(seeds, stream, 2 * self.crop + 1) - self.crop
        places = torch.arange(size, device=seeds.device) + shift[:, None]
        return (size - 1) - ((size - 1) - places.abs()).abs()  # reflected at both ends


def punched(images: Tensor, seeds: Tensor, side: int) -> Tensor:
    """(B, C, H, W) images with a square hole each, of their mean colour."""
    height, width = images.shape[2:]
    rows = span(height, seeded_integers(seeds, HOLE_Y, height), side)  # (B, H)
    columns = span(width, seeded_integers(seeds, HOLE_X, width), side)  # (B, W)
    hole = (rows[:, :, None] & columns[:, None, :])[:, None]  # (B, 1, H, W)
    # Integer pixels are summed as integers: the same sum on every device.
    if images.is_floating_point():
        color = images.mean((2, 3), keepdim=True)
    else:
        total = images.flatten(2).to(torch.int32).sum(2)[:, :, None, None]  # 3 times as fast as sum of uint8
        color = (total // (height * width)).to(images.dtype)
    return torch.where(hole, color, images)


def span(size: int, center: Tensor, length: int | Tensor) -> Tensor:
    """(B, size) bool: the places around each of (B,) int64 centers, cut off at the ends.

    Args:
        size: Number of places.
        center: (B,) int64 in [0, size).
        length: How many places, for all or (B,) int64.
    """
    places = torch.arange(size, device=center.device)
    start = center - length // 2
    return (places >= start[:, None]) & (places < (start + length)[:, None])
