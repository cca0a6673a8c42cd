"""Sizes and parameter counts of the textbook's networks; what is too small for them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.image.cnn import CifarCnn, MnistCnn
from aiexp.model.image.mlp import Mlp


def count(model: nn.Module, feature_size: int) -> int:
    """Parameters with a head of ten classes."""
    return sum(p.numel() for p in model.parameters()) + (feature_size + 1) * 10


def test_parameters_of_the_published_networks() -> None:
    mnist, cifar = MnistCnn(channels=1, image_size=28), CifarCnn(channels=3, image_size=32)
    assert count(mnist, mnist.feature_size) == 93_322  # as Keras' summary() prints it
    assert cifar.feature_size == 64 * 8 * 8
    assert count(cifar, cifar.feature_size) == 896 + 18_496 + 40_970
    mlp = Mlp(channels=1, image_size=28, hidden_sizes=[512, 512], dropout=0.0)
    assert count(mlp, mlp.feature_size) == 669_706


def test_mnist_cnn_in_the_order_of_the_textbook() -> None:
    torch.manual_seed(0)
    model = MnistCnn(channels=1, image_size=28)
    layers = nn.Sequential(
        model.conv1, nn.ReLU(), nn.MaxPool2d(2), model.conv2, nn.ReLU(), nn.MaxPool2d(2),
        model.conv3, nn.ReLU(), nn.Flatten(), model.dense, nn.ReLU(),
    )  # fmt: skip
    images = torch.randn(5, 1, 28, 28)
    torch.testing.assert_close(model(images), layers(images))
    ours = torch.autograd.grad(model(images).square().sum(), list(model.parameters()))
    theirs = torch.autograd.grad(layers(images).square().sum(), list(model.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_cifar_cnn_in_the_order_of_the_textbook() -> None:
    model, images = CifarCnn(channels=3, image_size=32), torch.randn(2, 3, 32, 32)
    hidden = F.max_pool2d(F.relu(model.conv1(images)), 2)
    torch.testing.assert_close(model(images), F.max_pool2d(F.relu(model.conv2(hidden)), 2).flatten(1))


@pytest.mark.parametrize(("model", "smallest"), [(MnistCnn, 18), (CifarCnn, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_images(model: type[MnistCnn] | type[CifarCnn], smallest: int, channels: int) -> None:
    for size in (smallest, smallest + 1, 33):
        network = model(channels=channels, image_size=size)
        assert network(torch.zeros(2, channels, size, size)).shape == (2, network.feature_size)
    with pytest.raises(ConfigError, match="too small") as caught:
        model(channels=channels, image_size=smallest - 1)
    assert caught.value.where == "image_size"


def test_mlp() -> None:
    torch.manual_seed(0)
    model = Mlp(channels=3, image_size=4, hidden_sizes=[16, 8], dropout=0.5)
    images = torch.randn(6, 3, 4, 4)
    assert model(images).shape == (6, 8)
    assert not torch.equal(model(images), model(images))  # dropout
    model.eval()
    first, second = model.layers
    torch.testing.assert_close(model(images), F.relu(second(F.relu(first(images.flatten(1))))))
