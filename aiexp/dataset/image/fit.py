"""Pictures brought to another size or number of channels."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Pixels turned to float at a time: 64 MB of them.
_CHUNK_VALUES = 1 << 24
# Weights of red, green and blue in a grey picture, ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def fit(images: Tensor, image_size: int, channels: int) -> Tensor:
    """(N, channels, image_size, image_size) uint8; the same tensor when nothing is to change.

    Resized bilinearly with antialias; grey is the luma of ITU-R BT.601, colour from grey repeats it.

    Args:
        images: (N, C, H, W) uint8, C 1 or 3. Pictures that are not square are stretched.
        image_size: Height and width of the result in pixels.
        channels: 1 or 3.
    """
    if tuple(images.shape[1:]) == (channels, image_size, image_size):
        return images
    fitted = torch.empty((len(images), channels, image_size, image_size), dtype=torch.uint8)
    largest = max(images[:1].numel(), fitted[:1].numel(), 1)
    size = max(1, _CHUNK_VALUES // largest)
    for start in range(0, len(images), size):
        fitted[start : start + size] = _fitted(images[start : start + size], image_size, channels)
    return fitted


def _fitted(images: Tensor, image_size: int, channels: int) -> Tensor:
    """One chunk, uint8."""
    pixels = images.float()
    if channels == 1 and images.shape[1] == 3:
        weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
        pixels = (pixels * weights).sum(1, keepdim=True)  # (N, 1, H, W)
    if tuple(images.shape[2:]) != (image_size, image_size):
        pixels = F.interpolate(
            pixels, size=(image_size, image_size), mode="bilinear", antialias=True, align_corners=False
        )
    grey_or_colour = pixels.round_().clamp_(0, 255).to(torch.uint8)
    return grey_or_colour.expand(-1, channels, -1, -1)
