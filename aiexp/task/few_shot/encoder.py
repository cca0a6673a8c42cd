"""What the networks of few-shot tasks look like from outside."""

from typing import Any

from torch import nn

from aiexp.prediction.network import Network, Port


def image_shape(dataset: Any) -> tuple[int, int]:
    """Size and channels of the images of episodes."""
    return dataset.image_size, dataset.channels


def encoder(module: nn.Module, image_size: int, channels: int) -> Network:
    """A network on bright ink in [0, 1]."""
    images = Port(sizes=("batch", channels, image_size, image_size))
    text = "features (batch, size) of images in [0, 1]; batch norm takes the statistics of the batch"
    return Network(module=module, inputs={"images": images}, outputs=("features",), text=text)
