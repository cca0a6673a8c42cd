"""Ours is the formula, gradient included, in every layout; no image sees another."""

import pytest
import torch

from aiexp.model.layer.instance_norm import InstanceNorm

FORMATS = [torch.contiguous_format, torch.channels_last]


def by_hand(images: torch.Tensor) -> torch.Tensor:
    variance, mean = torch.var_mean(images, (2, 3), correction=0, keepdim=True)
    return (images - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("gradient_layout", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients(
    count: int, layout: torch.memory_format, gradient_layout: torch.memory_format, dtype: torch.dtype
) -> None:
    """In every layout: PyTorch's instance norm fails this for one image with a gradient channels last."""
    torch.manual_seed(0)
    images = (torch.randn(count, 5, 6, 4, dtype=dtype) * 3 + 2).contiguous(memory_format=layout)
    weights = torch.randn(count, 5, 6, 4, dtype=dtype).contiguous(memory_format=gradient_layout)
    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    for norm in (InstanceNorm().eval(), by_hand):
        leaf = images.clone().requires_grad_()
        normed = norm(leaf)
        (normed * weights).sum().backward()
        assert leaf.grad is not None
        results.append((normed, leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)


def test_an_image_does_not_see_the_others() -> None:
    images = torch.randn(3, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    together, alone = InstanceNorm()(images), [InstanceNorm()(image) for image in images.split(1)]
    assert torch.equal(together, torch.cat(alone))
    assert together.mean((2, 3)).abs().max() < 1e-5
    assert (together.var((2, 3), correction=0) - 1).abs().max() < 1e-3
