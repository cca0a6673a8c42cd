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
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Puts images (B, C, H, W) in; returns as many, newer and older ones, without a graph."""
        # One layout whatever the network's, so that images from a checkpoint are the same in every way.
        images = images.detach().contiguous()
        if not self.size:
            return images
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        older, self.images[place] = self.images[place], image.clone()
        return older

    def state(self) -> list[Tensor]:
        """What a checkpoint must hold: the images in their places."""
        return self.images

    def load_state(self, images: list[Tensor], device: torch.device) -> None:
        """Restores what `state` returned, on the task's device."""
        self.images = [image.to(device, copy=True) for image in images]
