"""The textbook's small convolutional networks, without their last layer."""

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError

# Tensor letters: B batch, C channels, H height, W width.


@final
class MnistCnn(nn.Module):
    """Conv32-pool-Conv64-pool-Conv64-Dense64, all with ReLU; the task adds Dense10.

    Source: the TensorFlow tutorial "Convolutional Neural Network (CNN)": 3x3 filters without padding, 2x2
    max pooling. 28x28 becomes 26, 13, 11, 5, 3 pixels; 93,322 parameters with the head of ten classes.
    Departures: pooling comes before ReLU (max and ReLU commute, and a quarter of the values are left);
    PyTorch's initial weights instead of Glorot's.

    Args:
        channels: Of the images.
        image_size: Height and width of the images in pixels, at least 18.

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(self, *, channels: int, image_size: int) -> None:
        super().__init__()
        check_image_size(image_size, smallest=18)
        self.conv1 = nn.Conv2d(channels, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 64, 3)
        size = ((image_size - 2) // 2 - 2) // 2 - 2
        self.dense = nn.Linear(64 * size * size, 64)
        self.feature_size = 64

    def forward(self, images: Tensor) -> Tensor:
        """(B, 64) of normalised images (B, C, H, W)."""
        hidden = F.relu(F.max_pool2d(self.conv1(images), 2))
        hidden = F.relu(F.max_pool2d(self.conv2(hidden), 2))
        hidden = F.relu(self.conv3(hidden))
        return F.relu(self.dense(hidden.flatten(1)))


@final
class CifarCnn(nn.Module):
    """Conv32-pool-Conv64-pool, each with ReLU; the task adds the linear layer.

    Source: the textbook baseline of CIFAR-10: 3x3 filters, 2x2 max pooling. Padding of one pixel keeps the
    size (assumption: the textbook leaves it open): 32, 16, 8 pixels; 60,362 parameters with the head of ten
    classes.
    Departures: pooling comes before ReLU, which gives the same values.

    Args:
        channels: Of the images.
        image_size: Height and width of the images in pixels, at least 4.

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(self, *, channels: int, image_size: int) -> None:
        super().__init__()
        check_image_size(image_size, smallest=4)
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.feature_size = 64 * (image_size // 4) ** 2

    def forward(self, images: Tensor) -> Tensor:
        """(B, feature_size) of normalised images (B, C, H, W)."""
        hidden = F.relu(F.max_pool2d(self.conv1(images), 2))
        hidden = F.relu(F.max_pool2d(self.conv2(hidden), 2))
        return hidden.flatten(1)


def check_image_size(image_size: int, *, smallest: int) -> None:
    """Raises `ConfigError` if images are too small for a network."""
    if image_size < smallest:
        raise ConfigError(
            f"images of {image_size} x {image_size} pixels are too small for this network",
            where="image_size", fix=f"dataset.image_size={smallest} or more, or another model",
        )  # fmt: skip
