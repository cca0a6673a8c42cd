"""Grad-CAM lights up where a network looks, and only there."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.use.explaining.grad_cam import grad_cam, last_feature_map


class LooksAtTheUpperLeft(nn.Module):
    """Counts what is bright in one quadrant; averages with the mirror image if asked to."""

    def __init__(self, *, mirrors: bool = False, in_place: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        nn.init.constant_(self.conv.weight, 0.1)
        self.act = nn.ReLU(inplace=in_place)
        self.mirrors = mirrors

    def one(self, images: Tensor) -> Tensor:
        seen = torch.zeros_like(images)
        seen[..., :8, :8] = images[..., :8, :8]
        return self.act(self.conv(seen)).sum((1, 2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.one(images) + self.one(images.flip(3)) if self.mirrors else self.one(images)


def heat_of(model: nn.Module, images: Tensor) -> Tensor:
    layer = last_feature_map(model, lambda: model(images))
    assert layer is not None
    return grad_cam(model, layer, images)


def test_a_net_that_looks_at_one_quadrant_lights_up_there() -> None:
    heat = heat_of(LooksAtTheUpperLeft(), torch.rand(1, 1, 16, 16) + 0.5)  # as bright everywhere
    assert heat.shape == (16, 16)
    assert heat[:8, :8].min() > 0.2
    assert heat[1:7, 1:7].max() == 1.0
    assert not heat[9:].any()  # the filters reach over the border by one pixel
    assert not heat[:, 9:].any()


def test_an_image_averaged_with_its_mirror_is_explained_as_it_is() -> None:
    heat = heat_of(LooksAtTheUpperLeft(mirrors=True), torch.rand(1, 1, 16, 16) + 0.5)
    assert heat[:8, :8].min() > 0.2
    assert not heat[:, 9:].any()


def test_what_works_in_place_spoils_nothing() -> None:
    images = torch.rand(1, 1, 16, 16)
    assert torch.equal(
        heat_of(LooksAtTheUpperLeft(in_place=True), images), heat_of(LooksAtTheUpperLeft(), images)
    )


def test_the_map_after_norm_and_relu_is_taken_and_what_is_one_pixel_is_not() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1)
    ).eval()  # fmt: skip
    assert last_feature_map(model, lambda: model(torch.zeros(1, 1, 9, 9))) is model[2]


def test_a_network_of_dense_layers_has_no_map() -> None:
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(81, 2))
    assert last_feature_map(model, lambda: model(torch.zeros(1, 1, 9, 9))) is None


def test_where_nothing_speaks_for_it_everything_is_zero() -> None:
    model = LooksAtTheUpperLeft()
    images = torch.rand(1, 1, 16, 16)
    layer = last_feature_map(model, lambda: model(images))
    assert layer is not None
    assert not grad_cam(lambda x: -F.relu(model(x)), layer, images).any()
