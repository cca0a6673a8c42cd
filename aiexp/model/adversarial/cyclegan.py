"""The four networks of CycleGAN: a translator in each direction, a critic of each side."""

from typing import Literal, final

import torch
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.model.layer.instance_norm import InstanceNorm
from aiexp.model.layer.reflection_padding import ReflectionPadding
from aiexp.ranges import PositiveInt

Upsampling = Literal["transposed", "resized"]
INSIDE = 0.998  # factor that keeps white and black finite under atanh: a quarter of a step of 8-bit colour


@final
class CycleGANNetworks(nn.Module):
    """`generator_ab`, `generator_ba`, `discriminator_a`, `discriminator_b`; images in [-1, 1].

    Source: Zhu et al. 2017 (arXiv 1703.10593), section 7.2.
    Departures: convolutions before an instance norm have no bias: the norm would subtract it again. With
    `skip` a generator starts from its input, which the paper's does not: instance norm throws away how strong
    a flat colour is (seen: after some thousand steps without it red emoji came back orange).

    Args:
        channels: Of the images: 1 or 3.
        image_size: Pixels, square.
        base_channels: Width of the first layer of all four networks; 64 in the paper.
        num_blocks: Residual blocks of a generator; 9 in the paper for 256 pixels or more, 6 below.
        num_discriminator_layers: Strided layers of a discriminator. It sees patches of 16, 34, 70 or 142
            pixels with 1, 2, 3 or 4 layers.
        skip: Whether generators add what they make to their input; false in the paper.
        upsampling: "transposed" convolutions as in the paper, or "resized": pixels doubled, then convolved,
            which makes no checkerboards (Odena et al. 2016, doi 10.23915/distill.00003).

    Raises:
        ConfigError: the images do not fit the networks.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        base_channels: PositiveInt,
        num_blocks: PositiveInt,
        num_discriminator_layers: PositiveInt,
        skip: bool,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        check_image_size(image_size, num_discriminator_layers)
        self.channels, self.image_size = channels, image_size
        self.generator_ab = Generator(resnet_layers(channels, base_channels, num_blocks, upsampling), skip)
        self.generator_ba = Generator(resnet_layers(channels, base_channels, num_blocks, upsampling), skip)
        self.discriminator_a = patch_discriminator(channels, base_channels, num_discriminator_layers)
        self.discriminator_b = patch_discriminator(channels, base_channels, num_discriminator_layers)
        self.apply(initialize)


@final
class Generator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] to float32 images of the same shape and range.

    Args:
        layers: From images to numbers of any size in their shape.
        skip: Whether the layers say what changes. They are added to the images before the final tanh, at
            whose ends (white, black) small numbers change nothing.
    """

    def __init__(self, layers: nn.Sequential, skip: bool) -> None:
        super().__init__()
        self.layers, self.skip = layers, skip

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        made = self.layers(images).float()
        if self.skip:
            made = made + torch.atanh(images.float() * INSIDE)
        return made.tanh()


@final
class ResidualBlock(nn.Module):
    """R_k of the paper: two 3x3 convolutions beside the identity.

    Args:
        width: Channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPadding(1), nn.Conv2d(width, width, 3, bias=False), InstanceNorm(), nn.ReLU(True),
            ReflectionPadding(1), nn.Conv2d(width, width, 3, bias=False), InstanceNorm(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, width, H, W) to the same shape."""
        return images + self.layers(images)


def resnet_layers(channels: int, width: int, num_blocks: int, upsampling: Upsampling) -> nn.Sequential:
    """c7s1-64, d128, d256, R256 x num_blocks, u128, u64, c7s1-3 of the paper, 64 = width, before the tanh."""
    layers: list[nn.Module] = [
        ReflectionPadding(3), nn.Conv2d(channels, width, 7, bias=False), InstanceNorm(), nn.ReLU(True),
    ]  # fmt: skip
    for factor in (1, 2):
        layers += [
            nn.Conv2d(factor * width, 2 * factor * width, 3, stride=2, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(True),
        ]
    layers += [ResidualBlock(4 * width) for _ in range(num_blocks)]
    for factor in (2, 1):
        layers += [*doubled(2 * factor * width, factor * width, upsampling), InstanceNorm(), nn.ReLU(True)]
    layers += [ReflectionPadding(3), nn.Conv2d(width, channels, 7)]
    return nn.Sequential(*layers)


def doubled(inputs: int, outputs: int, upsampling: Upsampling) -> list[nn.Module]:
    """Layers that double the pixels: (B, inputs, H, W) to (B, outputs, 2H, 2W)."""
    if upsampling == "transposed":
        return [
            nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False),
        ]
    return [nn.Upsample(scale_factor=2), ReflectionPadding(1), nn.Conv2d(inputs, outputs, 3, bias=False)]


def patch_discriminator(channels: int, width: int, num_layers: int) -> nn.Sequential:
    """C64-C128-C256-C512 of the paper with 64 = width and 3 = num_layers: one score for each patch."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    before = width
    for number in range(1, num_layers + 1):
        after, stride = width * min(2**number, 8), 2 if number < num_layers else 1
        layers += [
            nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=False),
            InstanceNorm(),
            nn.LeakyReLU(0.2, True),
        ]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 4, padding=1))


def initialize(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def check_image_size(image_size: int, num_discriminator_layers: int) -> None:
    """Raises `ConfigError` unless generators return the size they get and discriminators have a patch."""
    where = f"image_size={image_size}"
    if image_size % 4 or image_size < 8:
        below = max(image_size // 4 * 4, 8)
        raise ConfigError(
            f"generators halve and double images twice: {image_size} pixels are not a multiple of 4",
            where=where, fix=f"dataset.image_size={below} or {below + 4}",
        )  # fmt: skip
    least = 3 * 2**num_discriminator_layers
    if image_size < least:
        raise ConfigError(
            f"{num_discriminator_layers} discriminator layers need images of {least} pixels or more",
            where=where, fix=f"dataset.image_size={least} or a smaller num_discriminator_layers",
        )  # fmt: skip
