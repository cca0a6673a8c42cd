"""Mixup and CutMix: each example is mixed with the next one of its batch."""

from typing import final

import torch
from torch import Tensor

from aiexp.dataset.draws import seeded_integers, seeded_uniform
from aiexp.ranges import NonNegativeFloat
from aiexp.task.classification.augmentation import span

# Tensor letters: B batch, C channels, H height, W width, K classes.

# Streams of random numbers; `augmentation.py` uses those below.
CHOICE, SHARE, BOX_Y, BOX_X = range(16, 20)
_TABLE_SIZE = 4096


@final
class Mixing:
    """Mixes images and their labels, on their own device, without a loop over examples.

    The share and the box of an example are drawn from its seed; its partner is the next example of the batch
    (batches are shuffled), so the same batch is always mixed in the same way.

    Source: mixup, Zhang et al. 2017 (arXiv 1710.09412, section 2); CutMix, Yun et al. 2019
    (arXiv 1905.04899, section 3.1).
    Departures: every example has its own share, where the papers draw one a batch; with both on, each
    example takes one of them with equal chance. The Beta distribution is a table of its quantiles.

    Args:
        mixup_alpha: Both parameters of the Beta distribution of mixup's share; 0 turns mixup off.
        cutmix_alpha: Both parameters of the Beta distribution of CutMix's share; 0 turns CutMix off.
    """

    def __init__(self, *, mixup_alpha: NonNegativeFloat, cutmix_alpha: NonNegativeFloat) -> None:
        self.is_active = mixup_alpha > 0 or cutmix_alpha > 0
        self._device = torch.device("cpu")
        self._mixup = beta_quantiles(mixup_alpha) if mixup_alpha else None
        self._cutmix = beta_quantiles(cutmix_alpha) if cutmix_alpha else None

    def __call__(self, images: Tensor, labels: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed images and labels.

        Args:
            images: (B, C, H, W) float.
            labels: (B, K) float, each row sums to 1.
            seeds: (B,) int64, on the same device.
        """
        height, width = images.shape[2:]
        if self._device != images.device:  # once: a CUDA graph cannot copy from the CPU
            self._device = images.device
            self._mixup, self._cutmix = (
                None if table is None else table.to(self._device) for table in (self._mixup, self._cutmix)
            )
        share = seeded_uniform(seeds, SHARE)
        weight = torch.ones(len(seeds), 1, height, width, device=images.device)  # of an image's own pixels
        if self._mixup is not None:
            weight = quantile(self._mixup, share)[:, None, None, None].expand_as(weight)
        if self._cutmix is not None:
            cut = 1 - box(height, width, 1 - quantile(self._cutmix, share), seeds).float()
            if self._mixup is not None:
                is_cut = seeded_uniform(seeds, CHOICE) < 0.5
                cut = torch.where(is_cut[:, None, None, None], cut, weight)
            weight = cut
        kept = weight.mean((1, 2, 3))[:, None]  # (B, 1)
        return (
            torch.lerp(images.roll(-1, 0), images, weight.to(images.dtype)),
            torch.lerp(labels.roll(-1, 0), labels, kept.to(labels.dtype)),
        )


def box(height: int, width: int, area: Tensor, seeds: Tensor) -> Tensor:
    """(B, 1, H, W) bool: a box of a (B,) share of the area around a random pixel, cut off at the border."""
    side = area.clamp(0, 1).sqrt()
    rows = span(height, seeded_integers(seeds, BOX_Y, height), (side * height).long())
    columns = span(width, seeded_integers(seeds, BOX_X, width), (side * width).long())
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def beta_quantiles(alpha: float) -> Tensor:
    """(4097,) float32 quantiles of Beta(alpha, alpha), at equal steps from 0 to 1."""
    import numpy as np
    from scipy.stats import beta

    return torch.from_numpy(beta.ppf(np.linspace(0, 1, _TABLE_SIZE + 1), alpha, alpha)).float()


def quantile(table: Tensor, share: Tensor) -> Tensor:
    """(B,) values of a table of quantiles, in between by straight lines."""
    place = share * _TABLE_SIZE
    left = place.long()
    return torch.lerp(table[left], table[left + 1], place - left)
