"""DCGAN: an image generator of transposed convolutions and a discriminator of strided ones."""

import itertools
from typing import Literal, final

from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt

Norm = Literal["batch", "layer", "none"]

# Tensor letters: B batch, Z latent size, C channels, H height, W width.

SMALLEST_MAP = 4


@final
class DCGAN(nn.Module):
    """A generator and a discriminator that mirrors it, for square images of any size 4 * 2^k or 7 * 2^k.

    Source: Radford et al. 2015 (arXiv 1511.06434), section 3 and figure 1. The gains of batch norm start at
    N(1, 0.02), as in the authors' code.
    Departures: the number of doublings follows from the image size (64: four, as in the paper; 28: three, the
    first from 4 to 7 by filters of 3 x 3, the others by the paper's 4 x 4).
    The generator's first layer and the discriminator's last are linear maps between a vector and the smallest
    feature map: the same numbers as convolutions that cover the whole map, in less time.

    Args:
        image_size: Pixels of a side.
        channels: Of an image.
        latent_size: Of the noise that an image is made from; 100 in the paper.
        base_channels: Feature maps at half the image size; they double with each halving. 128 in the paper's
            generator of 64 x 64 images.
        discriminator_norm: Between the discriminator's convolutions. "batch" mixes the examples of a batch,
            which a gradient penalty forbids; "layer" (over channels and pixels) does not.

    Raises:
        ConfigError: no network has such images.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: int,
        latent_size: PositiveInt,
        base_channels: PositiveInt,
        discriminator_norm: Norm,
    ) -> None:
        super().__init__()
        self.image_size, self.channels, self.latent_size = image_size, channels, latent_size
        self.discriminator_norm = discriminator_norm
        sizes = plan(image_size)
        widths = [base_channels * 2**i for i in reversed(range(len(sizes) - 1))]  # from the smallest map up
        self.generator = make_generator(latent_size, sizes, widths, channels)
        self.discriminator = make_discriminator(channels, widths[::-1], sizes[::-1], discriminator_norm)
        self.apply(initialize)


def plan(image_size: int) -> list[int]:
    """Pixels of every feature map from the smallest to the image: 4, 8, 16, ... or 4, 7, 14, 28, ...

    Raises:
        ConfigError: the size is neither 4 * 2^k nor 7 * 2^k with k >= 1.
    """
    for second in (2 * SMALLEST_MAP, 2 * SMALLEST_MAP - 1):
        sizes = [SMALLEST_MAP, second]
        while sizes[-1] < image_size:
            sizes.append(2 * sizes[-1])
        if sizes[-1] == image_size and image_size % 2 == 0:
            return sizes
    possible = sorted(smallest * 2**k for smallest in (4, 7) for k in range(1, 7))
    closest = min(possible, key=lambda size: abs(size - image_size))
    raise ConfigError(
        f"DCGAN makes no images of {image_size} pixels: only of {', '.join(map(str, possible))}",
        where="image_size", fix=f"dataset.image_size={closest}",
    )  # fmt: skip


def kernel(small: int, large: int) -> int:
    """Pixels of the filter that, with stride 2 and padding 1, leads from one size to the other and back."""
    return 4 if large == 2 * small else 3


def make_generator(latent_size: int, sizes: list[int], widths: list[int], channels: int) -> nn.Sequential:
    """(B, Z) float noise to (B, C, H, W) float images in [-1, 1], through maps of rising `sizes`."""
    smallest = sizes[0]
    layers: list[nn.Module] = [
        nn.Linear(latent_size, widths[0] * smallest**2, bias=False),
        VectorToMap(smallest),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for (wide, narrow), (small, large) in zip(
        itertools.pairwise(widths), itertools.pairwise(sizes[:-1]), strict=True
    ):
        layers += [
            nn.ConvTranspose2d(wide, narrow, kernel(small, large), stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
        ]
    layers += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1), nn.Tanh()]
    return nn.Sequential(*layers)


def make_discriminator(channels: int, widths: list[int], sizes: list[int], norm: Norm) -> nn.Sequential:
    """(B, C, H, W) float images in [-1, 1] to (B, 1) float logits, positive for real; `sizes` fall."""
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for (narrow, wide), (large, small) in zip(
        itertools.pairwise(widths), itertools.pairwise(sizes[1:]), strict=True
    ):
        layers += [
            nn.Conv2d(narrow, wide, kernel(small, large), stride=2, padding=1, bias=norm == "none"),
            make_norm(norm, wide),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, MapToVector(), nn.Linear(widths[-1] * sizes[-1] ** 2, 1))


@final
class VectorToMap(nn.Module):
    """Cuts (B, H * H * C) vectors into (B, C, H, H) maps whose memory is channels-last, without copying.

    Args:
        size: Height and width of the map.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, vectors: Tensor) -> Tensor:
        """The maps, a view."""
        return vectors.unflatten(1, (self.size, self.size, -1)).permute(0, 3, 1, 2)  # (B, C, H, H)


@final
class MapToVector(nn.Module):
    """The inverse; a map in another memory layout would make the activation behind it three times slower."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, H) maps to (B, H * H * C) vectors."""
        return maps.permute(0, 2, 3, 1).flatten(1)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """The normalisation of that name over (B, C, H, W) features."""
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "none":
            return nn.Identity()


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), gains of batch norm from N(1, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
