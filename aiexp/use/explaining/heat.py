"""Pictures with heat: orange speaks for the output, blue against it."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

FOR, AGAINST = (230, 120, 20), (50, 120, 235)
SMALLEST = 256  # pixels of a side to which small pictures are enlarged, by a whole factor
MOST = 99.5  # percentile of the strengths that is drawn in full: a single pixel hides nothing

Pixels = NDArray[np.uint8]


def bright(image: Tensor) -> Pixels:
    """(H, W, 3) of an image (H, W) or (H, W, 3) uint8, enlarged."""
    return _large(_grey3(image) if image.ndim == 2 else image.float())


def overlaid(image: Tensor, heat: Tensor) -> Pixels:
    """A picture in grey under heat (H, W) from 0 to 1, drawn from its lowest to its highest."""
    base = _grey3(image)
    low, high = float(heat.min()), float(heat.max())
    share = 0.85 * ((heat - low) / (high - low) if high > low else heat)[..., None]
    return _large(base * (1 - share) + share * torch.tensor(FOR))


def signed(image: Tensor, values: Tensor) -> Pixels:
    """Values (H, W) of any sign in two colours, over a pale shadow of the picture."""
    top = float(np.percentile(values.abs().numpy(), MOST)) or float(values.abs().max()) or 1.0
    share = (values.abs() / top).clamp(max=1.0).sqrt()[..., None]
    color = torch.where((values > 0)[..., None], torch.tensor(FOR), torch.tensor(AGAINST))
    base = 255 - (255 - _grey3(image)) * 0.25
    return _large(base * (1 - share) + share * color)


def _grey3(image: Tensor) -> Tensor:
    """(H, W, 3) float32 in grey."""
    grey = image.float() if image.ndim == 2 else image.float() @ torch.tensor([0.299, 0.587, 0.114])
    return grey[..., None].expand(-1, -1, 3)


def _large(pixels: Tensor) -> Pixels:
    """(H, W, 3) uint8, each pixel a square of them."""
    factor = max(1, -(-SMALLEST // max(pixels.shape[:2])))
    large: Any = F.interpolate(pixels.permute(2, 0, 1)[None], scale_factor=float(factor), mode="nearest")
    return large[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
