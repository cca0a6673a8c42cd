"""Depthwise convolutions: the same values, in fp32 where they train."""

import torch
from torch import nn

from aiexp.model.layer.depthwise import DepthwiseConv2d, use_depthwise


def test_same_values_in_another_precision() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 8, 1))
    names, images = list(network.state_dict()), torch.randn(2, 4, 8, 8)
    expected = network(images)
    first = network[0](images)
    use_depthwise(network)
    assert [type(layer) for layer in network] == [DepthwiseConv2d, nn.Conv2d, nn.Conv2d]
    assert list(network.state_dict()) == names
    assert torch.equal(network(images), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network[0](images), first)
        assert torch.equal(network[0](images.bfloat16()), network[0](images.bfloat16().float()))
        assert network(images).dtype == torch.bfloat16
        with torch.no_grad():
            assert network[0](images).dtype == torch.bfloat16
