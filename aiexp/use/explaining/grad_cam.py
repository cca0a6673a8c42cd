"""Grad-CAM: where the last feature map of a convolutional network speaks for a class."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Tensor letters: B batch, C channels, H height, W width.


def last_feature_map(task: nn.Module, call: Callable[[], object]) -> nn.Module | None:
    """The module whose output is the last picture-like tensor, at or after the last convolution.

    A convolution that comes before a norm and a ReLU is followed by better maps than its own; so that what
    counts is what the rest of the network sees. None: the network has no convolution of more than a pixel.

    Args:
        task: Holds the network.
        call: Runs it on an input.
    """
    seen: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim != 4 or min(output.shape[2:]) < 2:
            return
        if seen or isinstance(module, nn.Conv2d):
            seen.append(module)

    handles = [module.register_forward_hook(note) for module in task.modules()]
    try:
        with torch.no_grad():
            call()
    finally:
        for handle in handles:
            handle.remove()
    return seen[-1] if seen else None


def grad_cam(function: Callable[[Tensor], Tensor], layer: nn.Module, images: Tensor) -> Tensor:
    """(H, W) float32 from 0 to 1: where the map of a layer speaks for an output; all 0 if nowhere.

    Source: Selvaraju et al. 2016 (arXiv 1610.02391), equations 1 and 2, enlarged bilinearly.
    Captum's looks at a layer's last call; a task that averages an image with its mirror calls it twice, and
    the first is of the image.

    Args:
        function: (B,) outputs of (B, C, H, W) images.
        layer: See `last_feature_map`.
        images: (1, C, H, W) float32.
    """
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        maps.append(output)
        return output.clone()  # what follows may work in place

    handle = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            output = function(images.detach().clone().requires_grad_()).sum()
            (slopes,) = torch.autograd.grad(output, maps[0])
    finally:
        handle.remove()
    weights = slopes.mean((2, 3), keepdim=True)
    made = F.relu((weights * maps[0].detach()).sum(1, keepdim=True)).float()
    large = F.interpolate(made, images.shape[2:], mode="bilinear", align_corners=False)[0, 0].cpu()
    return large / large.max() if large.max() > 0 else large
