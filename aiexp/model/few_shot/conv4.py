"""The encoder of few-shot learning: four convolutions, without a last layer."""

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt

# Tensor letters: B batch, C channels, H height, W width.

_MODULES = 4
_EPSILON = 1e-5


@final
class BatchStatisticsNorm(nn.Module):
    """Batch norm with the statistics of the batch it sees, always.

    Source: Ioffe and Szegedy 2015 (arXiv 1502.03167), algorithm 1.
    Departures: no running statistics. Written out, because `torch.nn.BatchNorm2d` gives wrong second
    derivatives inside `torch.func.vmap` (torch 2.14: it takes mean and variance for constants), and MAML
    needs them.

    Args:
        channels: Of its input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W): every channel with mean `bias` and standard deviation `weight` over the batch."""
        centred = images - images.mean((0, 2, 3), keepdim=True)
        variance = centred.square().mean((0, 2, 3), keepdim=True)
        scale = self.weight[:, None, None] * torch.rsqrt(variance + _EPSILON)
        return torch.addcmul(self.bias[:, None, None], centred, scale)


@final
class Conv4(nn.Module):
    """Four modules of 3x3 convolution, batch norm and ReLU, each halving the image.

    Source: Vinyals et al. 2016 (arXiv 1606.04080); Finn et al. 2017 (arXiv 1703.03400), section 5.2, whose
    networks for Omniglot halve by strides and average the last positions, as `halving: stride` does here.
    Departures: none in the layers; PyTorch's initial weights. Batch norm always takes the statistics of the
    batch it sees and keeps none, in evaluation too, as MAML does: so what is predicted for an example depends
    on the examples asked for together with it (transductive).

    Args:
        channels: Of the images.
        image_size: Height and width of the images in pixels.
        filters: Of each convolution.
        halving: "stride", the convolution leaves out every other position, or "pool", a 2x2 maximum.

    Raises:
        ConfigError: the images are too small.
    """

    def __init__(
        self, *, channels: int, image_size: int, filters: PositiveInt, halving: Literal["stride", "pool"]
    ) -> None:
        super().__init__()
        if image_size < 2**_MODULES:
            raise ConfigError(
                f"images of {image_size} pixels cannot be halved {_MODULES} times",
                where="image_size", fix=f"dataset.image_size={2**_MODULES} or more",
            )  # fmt: skip
        self.halving: str = halving
        stride = 2 if halving == "stride" else 1
        sizes = [channels, *[filters] * _MODULES]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(sizes[i], filters, 3, stride=stride, padding=1) for i in range(_MODULES)
        )
        self.norms = nn.ModuleList(BatchStatisticsNorm(filters) for _ in range(_MODULES))
        side = image_size // 2**_MODULES
        self.feature_size = filters if halving == "stride" else filters * side**2

    def forward(self, images: Tensor) -> Tensor:
        """(B, feature_size) of images (B, C, H, W) in [0, 1]."""
        hidden = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = F.relu(norm(convolution(hidden)))
            if self.halving == "pool":
                hidden = F.max_pool2d(hidden, 2)
        return hidden.mean((2, 3)) if self.halving == "stride" else hidden.flatten(1)
