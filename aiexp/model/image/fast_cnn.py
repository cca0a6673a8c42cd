"""A small convolutional network that learns CIFAR-10 in minutes: whitened patches, then filters."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt

# Tensor letters: B batch, C channels, H height, W width, L positions, P pixels of a patch.

PATCH = 2  # pixels, height and width of a whitened patch
SMALLEST_IMAGE = PATCH - 1 + 2**3  # three poolings by two must leave a pixel
OFFSET_SCALE = 8.0


@final
class FastCnn(nn.Module):
    """Whitening 2x2 filters, three groups of 3x3 filters with batch norm and GELU, the largest of each map.

    A group is filters-pool-norm-GELU-filters-norm-GELU; 32x32 pixels become 31, 15, 7, 3.

    Source: airbench94, Jordan 2024 (arXiv 2404.00498, sections 3.1 to 3.3): filters that begin as the
    identity, norms without a factor, features scaled down. The whitening layer is Page's (2019, "How to train
    your ResNet", 8), here with both signs of each direction, so that GELU loses neither.
    Departures: half the filters in the middle group, which takes a third off the time; no bias in the
    whitening layer, which spares the way back through it; no Lookahead, alternating flip or test-time shifts;
    running statistics with PyTorch's momentum.

    Args:
        channels: Of the images.
        image_size: Height and width of the images in pixels, at least 9.
        widths: Filters of each of the three groups.
        scale: Factor on the features, which keeps the first logits small.

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        widths: tuple[PositiveInt, PositiveInt, PositiveInt],
        scale: float,
    ) -> None:
        super().__init__()
        if image_size < SMALLEST_IMAGE:
            raise ConfigError(
                f"images of {image_size} x {image_size} pixels are too small for this network",
                where="image_size",
                fix=f"dataset.image_size={SMALLEST_IMAGE} or more, or another model",
            )
        patch_pixels = channels * PATCH**2
        self.patches = nn.Conv2d(channels, 2 * patch_pixels, PATCH, bias=False)
        inputs = [2 * patch_pixels, *widths[:2]]
        self.groups = nn.Sequential(*(Group(i, o) for i, o in zip(inputs, widths, strict=True)))
        self.feature_size, self.scale = widths[2], scale

    def whiten(self, images: Tensor) -> None:
        """Sets the first layer, and freezes it, so that its outputs on patches are uncorrelated.

        Args:
            images: (B, C, H, W) float, normalised.
        """
        pixels = F.unfold(images.double(), PATCH).transpose(1, 2).flatten(0, 1)  # (B L, P)
        variances, directions = torch.linalg.eigh(pixels.T @ pixels / len(pixels))  # (P,), (P, P) columns
        # 5e-4: Jordan's; it keeps directions of hardly any variance from being blown up.
        filters = (directions / (variances + 5e-4).sqrt()).T.unflatten(1, (-1, PATCH, PATCH))  # (P, C, 2, 2)
        with torch.no_grad():
            self.patches.weight.copy_(torch.cat([filters, -filters]))
        self.patches.weight.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, feature_size) of normalised images (B, C, H, W)."""
        hidden = self.groups(F.gelu(self.patches(images)))
        return hidden.amax((2, 3)) * self.scale


@final
class Group(nn.Module):
    """Filters-pool-norm-GELU-filters-norm-GELU: half as many pixels.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = filters(inputs, outputs), Norm(outputs)
        self.conv2, self.norm2 = filters(outputs, outputs), Norm(outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, outputs, H // 2, W // 2) of (B, inputs, H, W)."""
        hidden = F.gelu(self.norm1(F.max_pool2d(self.conv1(hidden), 2)))
        return F.gelu(self.norm2(self.conv2(hidden)))


@final
class Norm(nn.BatchNorm2d):
    """Batch norm with an offset that learns fast, and a factor fixed at 1.

    The offset is 8 times its parameter: to SGD the same as a learning rate 8 * 8 = 64 times as high, Jordan's
    bias scaler. A factor on the rate of all biases would also reach the head's, which then learns noise.

    Args:
        channels: Of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) normalised over all but C, plus the offset."""
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, OFFSET_SCALE * self.bias,
            training=self.training, momentum=self.momentum or 0.0, eps=self.eps,
        )  # fmt: skip


def filters(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3 filters without bias; the first `inputs` of them pass their channel on unchanged, to begin with."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer
