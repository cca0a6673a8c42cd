"""A pool of images that a generator made earlier."""

from typing import final

import torch
from torch import Tensor


@final
class ImagePool:
    """Gives a discriminator older images too, so that it does not forget what it learned.

    Source: Shrivastava et al. 2017 (arXiv 1612.07828), section 2.3, in the form of Zhu et al. 2017: while
    the pool fills, an image is stored and returned; then, with probability 1/2 each, it is returned or
    takes the place of a random stored one, which is returned. Draws come from torch's CPU generator.

    Args:
        size: Images kept; 0 returns every image at once.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0  # images stored
        self.stored: Tensor | None = None  # (size, C, H, W), zeros where there is none yet

    @property
    def images(self) -> list[Tensor]:
        """The images in their places."""
        return [] if self.stored is None else list(self.stored[: self.count])

    def draws(self, count: int) -> Tensor:
        """(B, 2) int64 for images to come: the place of each, -1 for none, and whether one is there."""
        rows: list[tuple[int, bool]] = []
        for _ in range(count if self.size else 0):
            if self.count < self.size:
                rows.append((self.count, False))
                self.count += 1
            elif torch.rand(()) < 0.5:
                rows.append((-1, False))
            else:
                rows.append((int(torch.randint(self.size, ())), True))
        return torch.tensor(rows or [(-1, False)] * count, dtype=torch.int64)

    def exchange(self, images: Tensor, draws: Tensor) -> Tensor:
        """Puts images (B, C, H, W) in as drawn for them; returns newer and older ones, without a graph."""
        # One layout whatever the network's, so that images from a checkpoint are the same in every way.
        images = images.detach().contiguous()
        if not self.size:
            return images
        if self.stored is None:
            self.stored = images.new_zeros(self.size, *images.shape[1:])
        # In turn, since two of a batch may have one place; without reading the draws, which may lie on a GPU.
        return torch.cat(
            [self._exchange(self.stored, *pair) for pair in zip(images.split(1), draws.split(1), strict=True)]
        )

    def _exchange(self, stored: Tensor, image: Tensor, draw: Tensor) -> Tensor:
        place, is_full = draw[:, 0].clamp(min=0), draw[0, 1].bool()
        older = stored.index_select(0, place)
        stored.index_copy_(0, place, torch.where(draw[0, 0] >= 0, image, older))
        return torch.where(is_full, older, image)

    def state(self) -> list[Tensor]:
        """What a checkpoint must hold: the images in their places."""
        return [image.clone() for image in self.images]

    def load_state(self, images: list[Tensor], device: torch.device) -> None:
        """Restores what `state` returned, on the task's device."""
        self.count, self.stored = len(images), None
        if images:
            self.stored = torch.zeros(self.size, *images[0].shape, dtype=images[0].dtype, device=device)
            self.stored[: len(images)] = torch.stack(images).to(device)
