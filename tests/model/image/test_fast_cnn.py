"""The network of `task=cifar10_fast`."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from aiexp.errors import ConfigError
from aiexp.model.image.fast_cnn import PATCH, FastCnn, Norm

SETTINGS: dict[str, Any] = {"channels": 3, "image_size": 32, "widths": [8, 12, 16], "scale": 0.5}


def make(**changes: Any) -> FastCnn:
    torch.manual_seed(0)
    return FastCnn(**{**SETTINGS, **changes})


def correlated_images(channels: int) -> torch.Tensor:
    """(64, channels, 16, 16): smooth, and alike across channels, as photographs are."""
    noise = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    smooth = F.avg_pool2d(noise, 3, 1, 1)
    return smooth + 0.1 * torch.randn(64, channels, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 9)])
def test_one_vector_an_image(channels: int, size: int) -> None:
    model = make(channels=channels, image_size=size)
    images = torch.randn(4, channels, size, size)
    features = model(images)
    assert features.shape == (4, model.feature_size) == (4, 16)
    twice = make(channels=channels, image_size=size, scale=2 * model.scale)
    torch.testing.assert_close(twice(images), 2 * features)
    model.eval()
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_the_shipped_size() -> None:
    model = FastCnn(channels=3, image_size=32, widths=[64, 128, 256], scale=0.1)
    head = 256 * 10 + 10
    assert sum(p.numel() for p in model.parameters()) + head == 1_161_258


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_outputs_are_uncorrelated(channels: int) -> None:
    model, images = make(channels=channels), correlated_images(channels)
    num = channels * PATCH**2

    def moments() -> torch.Tensor:
        outputs = model.patches(images).transpose(0, 1).flatten(1)[:num].double()
        return outputs @ outputs.T / outputs.shape[1]

    assert not torch.allclose(moments(), torch.eye(num).double(), atol=0.3)
    model.whiten(images)
    assert torch.allclose(moments(), torch.eye(num).double(), atol=0.2)  # the 5e-4 take off a little
    off_diagonal = moments() - moments().diag().diag()
    assert off_diagonal.abs().max() < 1e-4
    first, second = model.patches(images).chunk(2, 1)
    assert torch.equal(first, -second)


def test_only_whitening_freezes_the_first_layer() -> None:
    model = make()
    assert model.patches.weight.requires_grad
    model.whiten(correlated_images(3))
    before = model.patches.weight.clone()
    model(torch.randn(4, 3, 32, 32)).square().mean().backward()
    assert model.patches.weight.grad is None
    assert torch.equal(before, model.patches.weight)
    learning = {name.rsplit(".", 2)[-2] for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {"conv1", "norm1", "conv2", "norm2"}
    assert all(
        not p.requires_grad for n, p in model.named_parameters() if "norm" in n and n.endswith("weight")
    )


def test_filters_begin_as_the_identity() -> None:
    layer = make().groups[1].conv1  # 8 to 12 channels
    images = torch.randn(2, 8, 5, 5)
    assert torch.equal(layer(images)[:, :8], images)
    assert layer(images)[:, 8:].abs().max() > 0


def test_offsets_learn_64_times_as_fast() -> None:
    ours, plain = Norm(5), torch.nn.BatchNorm2d(5)
    images, target = torch.randn(6, 5, 4, 4), torch.randn(6, 5, 4, 4)
    outputs: list[torch.Tensor] = []
    for layer, rate in ((ours, 0.01), (plain, 0.64)):
        optimizer = torch.optim.SGD([layer.bias], lr=rate, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            ((layer(images) - target) ** 2).mean().backward()
            optimizer.step()
        outputs += [layer(images), layer.eval()(images)]
    assert plain.bias.abs().max() > 0.1
    torch.testing.assert_close(outputs[:2], outputs[2:])


def test_scale_is_a_factor() -> None:
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(make(scale=1.0)(images), 2 * make(scale=0.5)(images))


def test_same_seed_same_network() -> None:
    images = correlated_images(3)

    def run(memory_format: torch.memory_format) -> torch.Tensor:
        model = make(image_size=16).to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]
        model.whiten(images.contiguous(memory_format=memory_format))
        return model(images)

    first, again, other = map(run, (torch.channels_last, torch.channels_last, torch.contiguous_format))
    assert torch.equal(first, again)
    torch.testing.assert_close(first, other, atol=1e-4, rtol=1e-4)


def test_it_learns() -> None:
    """Which half of an image is bright, in 40 steps."""
    model, head = make(image_size=16, widths=[8, 8, 8]), torch.nn.Linear(8, 2)
    labels = torch.arange(64) % 2
    images = correlated_images(3)
    images[labels == 0, :, :8] += 1
    images[labels == 1, :, 8:] += 1
    model.whiten(images)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.02, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(head(model(images)), labels).backward()
        optimizer.step()
    assert (head(model.eval()(images)).argmax(1) == labels).float().mean() > 0.9


def test_images_that_are_too_small() -> None:
    with pytest.raises(ConfigError) as caught:
        make(image_size=8)
    assert caught.value.where == "image_size"
