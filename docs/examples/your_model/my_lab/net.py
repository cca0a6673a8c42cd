"""A network of our own for the image tasks that are there."""

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.ranges import PositiveInt


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class SmallResNet(nn.Module):
    """A vector for each image: (B, channels, H, W) to (B, width); the task adds the last layer.

    By `feature_size` the image tasks know that it makes vectors; a network without it makes logits itself.
    """

    def __init__(self, *, channels: PositiveInt, width: PositiveInt, num_blocks: PositiveInt) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(num_blocks)))
        self.feature_size = width

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(F.relu(self.stem(images))).amax((2, 3))
