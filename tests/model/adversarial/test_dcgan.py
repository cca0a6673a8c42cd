"""DCGAN's networks: shapes for every size, the paper's layers and first weights."""

from typing import Any

import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.adversarial.dcgan import DCGAN


def make(**changes: Any) -> DCGAN:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "image_size": 28, "channels": 1, "latent_size": 10, "base_channels": 4, "discriminator_norm": "batch",
    }  # fmt: skip
    return DCGAN(**(settings | changes))


@pytest.mark.parametrize("image_size", [8, 14, 16, 28, 32, 56, 64, 112, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size(image_size: int, channels: int) -> None:
    model = make(image_size=image_size, channels=channels, base_channels=2)
    images = model.generator(torch.randn(3, 10))
    assert images.shape == (3, channels, image_size, image_size)
    assert images.abs().max() <= 1
    assert model.discriminator(images).shape == (3, 1)


@pytest.mark.parametrize(("image_size", "fix"), [(30, 28), (48, 56), (7, 8), (4, 8), (1000, 448), (0, 8)])
def test_other_sizes_are_one_clear_error(image_size: int, fix: int) -> None:
    with pytest.raises(ConfigError) as caught:
        make(image_size=image_size)
    assert f"images of {image_size} pixels" in caught.value.what
    assert caught.value.fix == f"dataset.image_size={fix}"


def test_the_paper_s_network_for_64_pixels() -> None:
    """Figure 1: 1024 maps of 4 x 4, 512 of 8, 256 of 16, 128 of 32, then the image."""
    with torch.device("meta"):
        model = make(image_size=64, channels=3, base_channels=128, latent_size=100)
    shapes = [tuple(m.weight.shape) for m in model.generator if isinstance(m, nn.ConvTranspose2d)]
    assert shapes == [(1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 3, 4, 4)]
    assert model.generator[0].weight.shape == (1024 * 16, 100)
    shapes = [tuple(m.weight.shape) for m in model.discriminator if isinstance(m, nn.Conv2d)]
    assert shapes == [(128, 3, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1024, 512, 4, 4)]
    norms = [m.num_features for m in model.discriminator if isinstance(m, nn.BatchNorm2d)]
    assert norms == [256, 512, 1024], "none on the image"
    assert {m.negative_slope for m in model.discriminator if isinstance(m, nn.LeakyReLU)} == {0.2}


def test_first_weights() -> None:
    model = make(base_channels=32)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.15)
            assert module.bias is None or not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=0.02)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.5)


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("layer", False), ("none", False)])
def test_only_batch_norm_mixes_the_examples_of_a_batch(norm: str, mixes: bool) -> None:
    model = make(discriminator_norm=norm)
    images = torch.randn(4, 1, 28, 28)
    others = images.clone()
    others[1:] = torch.randn(3, 1, 28, 28)
    first, second = model.discriminator(images)[0], model.discriminator(others)[0]
    assert torch.allclose(first, second, atol=1e-6) != mixes


def test_channels_last_computes_the_same() -> None:
    model, noise = make().eval(), torch.randn(3, 10)
    images = model.generator(noise)
    scores = model.discriminator(images)
    moved = model.to(memory_format=torch.channels_last)
    assert torch.allclose(moved.generator(noise), images, atol=1e-6)
    scores_again = moved.discriminator(images.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(scores_again, scores, atol=1e-6)
