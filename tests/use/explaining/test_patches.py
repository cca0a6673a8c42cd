"""Attention of vision transformers is what they compute, and drawn where they look."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer

from aiexp.prediction.pictures import PictureInputs
from aiexp.use.explaining.attention import patch_grid, patch_maps, rollout
from aiexp.use.explaining.explain import Explaining, Request
from aiexp.use.reading import Item
from tests.toys import Replay
from tests.use.trained_runs import loaded

SIZE, PATCH = 32, 8


class Classifier(Replay):
    """Two classes of pictures by any network; averages with the mirror image if asked to."""

    def __init__(self, network: nn.Module, *, mirrors: bool = False) -> None:
        super().__init__()
        self.network, self.mirrors, self.class_names = network, mirrors, ["a", "b"]

    def inputs(self) -> PictureInputs:
        return PictureInputs(SIZE, 3)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        images = batch["images"].float() / 255
        made = self.network(images)
        return (made + self.network(images.flip(3))) / 2 if self.mirrors else made


class Theirs(nn.Module):
    """A vision transformer of transformers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        make: Any = ViTConfig
        config = make(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            image_size=SIZE, patch_size=PATCH, attn_implementation=kind,
        )  # fmt: skip
        self.model: Any = ViTForImageClassification(config)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(pixel_values=images).logits


def torchvisions() -> VisionTransformer:
    torch.manual_seed(0)
    made = VisionTransformer(
        image_size=SIZE, patch_size=PATCH, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=2
    )
    for name, parameter in made.named_parameters():  # else its last layer is zeros
        nn.init.normal_(parameter, std=0.5 if "in_proj" in name else 0.2)
    return made.eval()


def by_hand(network: VisionTransformer, images: Tensor) -> list[Tensor]:
    """The mean over heads of every layer's softmax."""
    inputs: list[Tensor] = []
    layers: Any = network.encoder.layers
    handles = [layer.ln_1.register_forward_hook(lambda _, __, made: inputs.append(made)) for layer in layers]
    network(images)
    for handle in handles:
        handle.remove()
    made: list[Tensor] = []
    for layer, hidden in zip(layers, inputs, strict=True):
        attention = layer.self_attention
        query, key, _ = (
            x.unflatten(-1, (2, -1)).transpose(1, 2)
            for x in F.linear(hidden, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
        )
        made.append((query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)[0].mean(0))
    return made


def explained(tmp_path: Path, task: Classifier, pixels: Tensor, method: str = "attention") -> Any:
    run = loaded(tmp_path, task.requires_grad_(False))
    return Explaining(run, task.inputs(), Request(method=method)).explanation(Item("one", pixels))


def pixels_of(seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, SIZE, SIZE), generator=random, dtype=torch.uint8)


@torch.no_grad()
def test_maps_of_torchvisions_transformer_equal_those_by_hand_and_its_answer_stays() -> None:
    network, images = torchvisions(), torch.rand(1, 3, SIZE, SIZE)
    before, wanted = network(images), by_hand(network, images)
    made: list[Tensor] = []
    maps = patch_maps(network, lambda: made.append(network(images)), (SIZE, SIZE))
    assert [tuple(each.shape) for each in maps] == [(17, 17)] * 3
    assert all(torch.allclose(m, w, atol=1e-5) for m, w in zip(maps, wanted, strict=True))
    assert all(torch.allclose(m.sum(-1), torch.ones(17), atol=1e-5) for m in maps)
    assert torch.allclose(made[0], before, atol=1e-6)  # while it was watched
    assert torch.equal(network(images), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())  # pyright: ignore[reportPrivateUsage]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_maps_of_a_transformer_of_transformers_equal_its_own(kind: str) -> None:
    network, images = Theirs(kind).eval(), torch.rand(1, 3, SIZE, SIZE)
    maps = patch_maps(network, lambda: network(images), (SIZE, SIZE))
    network.model.set_attn_implementation("eager")
    theirs = network.model(pixel_values=images, output_attentions=True).attentions
    assert len(maps) == len(theirs) == 2
    assert all(torch.allclose(m, t[0].mean(0), atol=1e-5) for m, t in zip(maps, theirs, strict=True))


@torch.no_grad()
def test_the_mirror_image_is_not_looked_at() -> None:
    network, images = torchvisions(), pixels_of()[None]
    alone, mirrored = (Classifier(network, mirrors=mirrors).eval() for mirrors in (False, True))
    one, two = (
        patch_maps(task, lambda task=task: task.logits({"images": images}), (SIZE, SIZE))
        for task in (alone, mirrored)
    )
    assert len(one) == len(two) == 3
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_rolled_out_attention_is_drawn_over_the_picture(tmp_path: Path) -> None:
    task, pixels = Classifier(torchvisions()).eval(), pixels_of()
    with torch.no_grad():
        before = task.logits({"images": pixels[None]})
        share = rollout(by_hand(task.network, pixels[None] / 255))[1:].view(4, 4)  # pyright: ignore[reportArgumentType]
    made = explained(tmp_path, task, pixels)
    (part,) = made.parts
    assert "each of 4 x 4 patches" in part.text
    assert "Abnar & Zuidema 2020" in part.text
    picture, drawn = (panel.pixels.astype(float) for panel in part.panels)
    assert picture.shape == drawn.shape == (256, 256, 3)
    # Orange is what is red beyond blue: most of it where most is looked at.
    orange = torch.from_numpy(drawn[..., 0] - drawn[..., 2]).view(4, 64, 4, 64).mean((1, 3))
    assert orange.argmax() == share.argmax()
    assert orange.argmin() == share.argmin()
    with torch.no_grad():
        assert torch.equal(task.logits({"images": pixels[None]}), before)


def test_it_is_among_all_methods_and_of_networks_without_it_left_out(tmp_path: Path) -> None:
    task = Classifier(torchvisions()).eval()
    methods = ["grad_cam", "integrated_gradients", "saliency", "attention"]
    assert [part.method for part in explained(tmp_path, task, pixels_of(), "").parts] == methods
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    made = explained(tmp_path / "plain", Classifier(plain).eval(), pixels_of(), "")
    assert [part.method for part in made.parts] == methods[:3]


@pytest.mark.parametrize(
    ("tokens", "size", "grid"),
    [
        (197, (224, 224), (14, 14)),
        (197, (32, 32), (14, 14)),  # enlarged by the model
        (17, (40, 80), None),
        (19, (48, 96), (3, 6)),
        (50, (32, 32), (7, 7)),
        (49, (224, 224), None),  # a window of Swin's
        (2, (32, 32), None),
        (1, (32, 32), None),
    ],
)  # fmt: skip
def test_patches_are_rows_and_columns_of_the_picture(
    tokens: int, size: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    assert patch_grid(tokens, size) == grid
