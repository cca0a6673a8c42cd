import numpy as np
import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.control.q_network import QCnn, QMlp


def test_sizes() -> None:
    mlp = QMlp(hidden_sizes=[256, 256], dueling=False)
    mlp.build((1, 4), 2)
    assert sum(p.numel() for p in mlp.parameters()) == 67_586
    assert mlp(torch.zeros(3, 1, 4)).shape == (3, 2)
    cnn = QCnn(hidden_size=512, dueling=False)
    cnn.build((4, 84, 84), 6)  # Mnih et al.: 8x8/4, 4x4/2, 3x3, 512
    wanted = 4 * 64 * 32 + 32 + 32 * 16 * 64 + 64 + 64 * 9 * 64 + 64 + 3136 * 512 + 512 + 512 * 6 + 6
    assert sum(p.numel() for p in cnn.parameters()) == wanted
    colours = QCnn(hidden_size=8, dueling=False)
    colours.build((2, 36, 48, 3), 5)
    assert colours(torch.zeros(3, 2, 36, 48, 3, dtype=torch.uint8)).shape == (3, 5)


def test_the_mlp_is_the_textbook_one() -> None:
    mlp = QMlp(hidden_sizes=[8, 8], dueling=False)
    mlp.build((2, 3), 4)
    weights = [p.detach() for p in mlp.parameters()]
    x = torch.randn(5, 2, 3)
    hidden = x.reshape(5, 6)
    for w, b in ((weights[0], weights[1]), (weights[2], weights[3])):
        hidden = torch.clamp(hidden @ w.T + b, min=0)
    assert torch.allclose(mlp(x), hidden @ weights[4].T + weights[5], atol=1e-6)


def test_dueling_parts_add_up() -> None:
    """The mean over actions is the value of the state alone; advantages sum to 0."""
    mlp = QMlp(hidden_sizes=[8], dueling=True)
    mlp.build((1, 3), 4)
    x = torch.randn(5, 1, 3)
    head: nn.Module = mlp.layers[-1]
    features = torch.relu(mlp.layers[0](x.flatten(1)))
    assert torch.allclose(mlp(x).mean(1, keepdim=True), head.state(features), atol=1e-6)
    advantages = head.actions(features)
    assert torch.allclose(
        mlp(x) - mlp(x).mean(1, keepdim=True), advantages - advantages.mean(1, keepdim=True), atol=1e-6
    )


def test_pixels_are_scaled_and_channels_in_order() -> None:
    cnn = QCnn(hidden_size=8, dueling=False)
    cnn.build((2, 36, 36, 3), 2)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 2, 36, 36, 3), np.uint8)
    images = torch.from_numpy(pixels).float() / 255
    by_hand = torch.cat(
        [images[:, s, :, :, c, None].permute(0, 3, 1, 2) for s in range(2) for c in range(3)], 1
    )
    assert torch.allclose(cnn(torch.from_numpy(pixels)), cnn.layers(by_hand))
    mlp = QMlp(hidden_sizes=[8], dueling=False)
    mlp.build((1, 4), 2)
    assert torch.equal(mlp(torch.full((1, 1, 4), 51, dtype=torch.uint8)), mlp(torch.full((1, 1, 4), 0.2)))


@pytest.mark.parametrize("shape", [(1, 4), (1, 20, 84), (1, 35, 35, 3)])
def test_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="no pictures") as error:
        QCnn(hidden_size=8, dueling=False).build(shape, 2)
    assert error.value.fix == "model=q_mlp"
