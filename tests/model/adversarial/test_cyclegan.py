"""The networks are the paper's: layers, sizes, receptive field, first weights."""

from typing import Any

import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.adversarial.cyclegan import CycleGANNetworks

PAPER: dict[str, Any] = {
    "channels": 3, "image_size": 256, "base_channels": 64, "num_blocks": 9, "num_discriminator_layers": 3,
    "skip": False, "upsampling": "transposed",
}  # fmt: skip
SMALL: dict[str, Any] = PAPER | {"image_size": 64, "base_channels": 4, "num_blocks": 2}


def make(**changes: Any) -> CycleGANNetworks:
    torch.manual_seed(0)
    return CycleGANNetworks(**(SMALL | changes))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_of_the_paper() -> None:
    """The authors' code has 11,378,179 and 2,764,737, with biases before norms."""
    networks = make(**PAPER)
    biases = 64 + 128 + 256 + 18 * 256 + 128 + 64
    assert count(networks.generator_ab) == count(networks.generator_ba) == 11_378_179 - biases
    assert count(networks.discriminator_a) == count(networks.discriminator_b) == 2_764_737 - 128 - 256 - 512


def test_convolutions_are_those_of_the_paper() -> None:
    convolutions = [
        m for m in make(**PAPER).generator_ab.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    blocks = [(256, 256, 3, 1)] * 18
    assert shapes == [
        (3, 64, 7, 1), (64, 128, 3, 2), (128, 256, 3, 2), *blocks, (256, 128, 3, 2), (128, 64, 3, 2),
        (64, 3, 7, 1),
    ]  # fmt: skip
    assert [type(m) for m in convolutions[-3:]] == [nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Conv2d]


def test_sizes_and_ranges() -> None:
    networks = make()
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    fake = networks.generator_ab(images)
    assert fake.shape == images.shape
    with torch.no_grad():
        networks.generator_ab.layers[-1].weight.mul_(1e4)
    loud = networks.generator_ab(images)
    assert (loud.min().item(), loud.max().item()) == (-1.0, 1.0), "the range of tanh, taken up in full"
    assert fake.abs().max() < 1
    assert networks.discriminator_b(fake).shape == (2, 1, 6, 6)
    assert make(num_discriminator_layers=1).discriminator_a(fake).shape == (2, 1, 30, 30)
    grey = make(channels=1, image_size=28)
    assert grey.generator_ba(torch.zeros(1, 1, 28, 28)).shape == (1, 1, 28, 28)
    assert grey.discriminator_a(torch.zeros(1, 1, 28, 28)).shape == (1, 1, 1, 1)


def test_resized_upsampling_has_the_same_shapes_and_no_transposed_filters() -> None:
    networks = make(upsampling="resized")
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in networks.modules())
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    assert networks.generator_ab(images).shape == images.shape
    layers = list(networks.generator_ab.layers)
    [first] = [i for i, m in enumerate(layers) if isinstance(m, nn.Upsample)][:1]
    pixels = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert layers[first](pixels)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


@pytest.mark.parametrize(("num_layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_of_the_discriminator(num_layers: int, pixels: int) -> None:
    network = make(image_size=256, num_discriminator_layers=num_layers).discriminator_a
    convolutions = nn.Sequential(*(m for m in network if isinstance(m, nn.Conv2d)))  # norms see everything
    images = torch.zeros(1, 3, 256, 256, requires_grad=True)
    scores = convolutions(images)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)) > 0
    assert (int(seen.any(0).sum()), int(seen.any(1).sum())) == (pixels, pixels)


def test_skip_starts_from_the_input() -> None:
    torch.manual_seed(1)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    images[0, :, :8] = 1
    images[1, :, :8] = -1
    with_skip, without = make(skip=True).generator_ab, make(skip=False).generator_ab
    without.load_state_dict(with_skip.state_dict())
    nn.init.zeros_(with_skip.layers[-1].weight)  # pyright: ignore[reportArgumentType]
    assert torch.allclose(with_skip(images), images * 0.998, atol=1e-4)
    added = 0.5 * torch.log((1 + without(images)) / (1 - without(images)))
    with_skip.load_state_dict(without.state_dict())
    expected = (torch.atanh(images * 0.998) + added).tanh()
    assert torch.allclose(with_skip(images), expected, atol=1e-4)
    assert not torch.allclose(with_skip(images), without(images), atol=1e-2)


def test_first_weights() -> None:
    for module in make(**PAPER | {"num_blocks": 1}).modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Standard error of a standard deviation over n draws: 0.02 / sqrt(2 n).
            assert module.weight.std().item() == pytest.approx(
                0.02, abs=0.08 / (2 * module.weight.numel()) ** 0.5
            )
            assert abs(module.weight.mean().item()) < 4 * 0.02 / module.weight.numel() ** 0.5
            assert module.bias is None or not module.bias.any()


def test_a_batch_is_its_images_one_by_one() -> None:
    """So that several images can go through a network in one call."""
    networks = make().to(dtype=torch.float64, memory_format=torch.channels_last)
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    for network in (networks.generator_ab, networks.discriminator_b):
        together, alone = network(images), torch.cat([network(image) for image in images.split(1)])
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"image_size": 30}, "image_size=30", "dataset.image_size=28 or 32"),
        ({"image_size": 4}, "image_size=4", "dataset.image_size=8 or 12"),
        ({"image_size": 20}, "image_size=20", "dataset.image_size=24"),
        ({"image_size": 64, "num_discriminator_layers": 5}, "image_size=64", "image_size=96"),
    ],
)
def test_sizes_that_do_not_fit(changes: dict[str, Any], where: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**changes)
    assert where in caught.value.where
    assert fix in caught.value.fix


def test_the_smallest_size_that_is_suggested_works() -> None:
    networks = make(image_size=24).train()
    assert networks.discriminator_a(torch.randn(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    networks.generator_ab(torch.randn(1, 3, 24, 24)).square().sum().backward()
    gradients = [p.grad for p in networks.generator_ab.parameters()]
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients)
