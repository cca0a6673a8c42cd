"""Pictures and observations explained: one tensor of pixels or numbers."""

from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.use.explaining.attention import patch_grid, patch_maps, rollout
from aiexp.use.explaining.explainer import Asked, Explainer
from aiexp.use.explaining.explanation import Panel, Part, strongest
from aiexp.use.explaining.grad_cam import grad_cam, last_feature_map
from aiexp.use.explaining.gradients import gradient, integrated_gradients
from aiexp.use.explaining.heat import bright, overlaid, signed

# Tensor letters: B batch, S stacked frames, C channels, H height, W width, T tokens.

SCALES = (1.0, 1 / 255)  # what networks make of pixels that come as floats
COLOURS = 3  # channels of a frame; any other number of them are frames


@final
class TensorExplainer(Explainer):
    """Explains one tensor of a batch.

    Args:
        task: Holds the network.
        name: Of the tensor in a batch.
        is_stacked: Whether its second size counts stacked observations, the newest last.
    """

    methods: ClassVar[tuple[str, ...]] = ("grad_cam", "integrated_gradients", "saliency", "attention")

    def __init__(self, task: nn.Module, name: str, *, is_stacked: bool) -> None:
        self.task, self.name, self.is_stacked = task, name, is_stacked

    def notes(self, value: Any) -> list[str]:
        """Nothing."""
        return []

    def grad_cam(self, asked: Asked) -> Part | None:
        """Of pictures and a network with convolutions."""
        function, example = self.as_floats(asked)
        layer = last_feature_map(self.task, lambda: function(example)) if self.is_picture(asked) else None
        if layer is None:
            return None
        heat = grad_cam(function, layer, example)
        text = f"Where the network's last feature map speaks for {asked.name}."
        if not heat.any():
            text = f"Nothing in the network's last feature map speaks for {asked.name}."
        return self.heated(asked, heat, "grad_cam", "Grad-CAM", text)

    def attention(self, asked: Asked) -> Part | None:
        """From the class token of a vision transformer to its patches, rolled out; None of other networks."""
        if not self.is_picture(asked):
            return None
        size = self.frames(asked).shape[1:3]
        maps = patch_maps(self.task, lambda: asked.outputs(asked.batch), (size[0], size[1]))
        grid = patch_grid(maps[-1].shape[-1], (size[0], size[1])) if maps else None
        if grid is None:
            return None
        share = rollout([made for made in maps if made.shape[-1] == maps[-1].shape[-1]])[1:]
        heat = F.interpolate(share.view(1, 1, *grid), size, mode="bilinear", align_corners=False)[0, 0]
        text = (
            f"How much of each of {grid[0]} x {grid[1]} patches reaches the class token through all layers "
            "(attention rollout, Abnar & Zuidema 2020, mean over heads). It says what is looked at, not what "
            "it speaks for."
        )
        return self.heated(asked, heat, "attention", "Attention", text)

    def integrated_gradients(self, asked: Asked) -> Part:
        """Seen from zeros: a black picture."""
        function, example = self.as_floats(asked)
        attribution = integrated_gradients(function, example, torch.zeros_like(example))
        is_picture = self.is_picture(asked)
        each, zero = ("pixel", "a black picture") if is_picture else ("number", "zeros")
        text = f"What each {each} adds to the output of {asked.name}, seen from {zero}."
        return self.valued(asked, attribution.values, "integrated_gradients", "Integrated gradients", text,
                           attribution=attribution)  # fmt: skip

    def saliency(self, asked: Asked) -> Part:
        """The gradient as it is."""
        function, example = self.as_floats(asked)
        slopes = gradient(function, example)
        is_picture = self.is_picture(asked)
        each = "pixel" if is_picture else "number"
        text = f"How the output of {asked.name} changes with each {each}: its gradient."
        return self.valued(asked, slopes.abs() if is_picture else slopes, "saliency", "Saliency", text)

    def is_picture(self, asked: Asked) -> bool:
        """Whether the tensor is pixels, of one picture or of stacked frames."""
        tensor = asked.batch[self.name]
        return tensor.dtype == torch.uint8 and tensor.ndim >= 4

    def frames(self, asked: Asked) -> Tensor:
        """The pixels as `arranged`."""
        return arranged(asked.batch[self.name][0].cpu(), is_stacked=self.is_stacked)

    def heated(self, asked: Asked, heat: Tensor, method: str, title: str, text: str) -> Part:
        """Heat (H, W) over the picture, or over the newest of its frames."""
        frames = self.frames(asked)
        image = as_image(frames[-1])
        if len(frames) > 1:
            text += f" Drawn over the newest of {len(frames)} frames."
        return Part(method=method, title=title, text=text, panels=pair(image, overlaid(image, heat), title))

    def valued(self, asked: Asked, values: Tensor, method: str, title: str, text: str, **more: Any) -> Part:
        """Values of pixels in a panel, of several frames also their sums; of numbers by their names."""
        if not self.is_picture(asked):
            named = list(zip(names_of(values), values.flatten().tolist(), strict=True))
            return Part(method=method, title=title, text=text, strongest=strongest(named), **more)
        frames = self.frames(asked)
        of_frames = arranged(values, is_stacked=self.is_stacked).sum(-1)  # (S, H, W)
        image = as_image(frames[-1])
        panels = pair(image, signed(image, of_frames[-1]), "each pixel")
        if len(frames) > 1:
            more["strongest"] = strongest(sums(of_frames))
            text += f" Drawn is the newest of {len(frames)} frames; the bars are sums over each of them."
        return Part(method=method, title=title, text=text, panels=panels, **more)

    def as_floats(self, asked: Asked) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """The output as a function of floats, and the input as floats, for which it is the same.

        A network that scales pixels if they come as integers, and takes floats as they are, gets scaled ones.

        Raises:
            ConfigError: it makes something else of floats.
        """
        tensor = asked.batch[self.name]

        def function(floats: Tensor) -> Tensor:
            return asked.outputs({self.name: floats})

        with torch.no_grad():
            wanted = asked.outputs(asked.batch)
            for scale in SCALES:
                example = tensor.float() * scale
                try:
                    made = function(example)
                except RuntimeError:  # such as a table that takes integers only
                    break
                if torch.allclose(made, wanted, rtol=1e-3, atol=1e-3):
                    return function, example
        raise ConfigError(
            "the network does not answer the same when its integers come as floats: it has no gradients",
            where=type(self.task).__name__, fix="let it convert its input by .float()",
        )  # fmt: skip


def pair(image: Tensor, heat: NDArray[np.uint8], caption: str) -> list[Panel]:
    """The picture as it is, and with heat."""
    return [Panel(pixels=bright(image), caption="the picture"), Panel(pixels=heat, caption=caption)]


def arranged(one: Tensor, *, is_stacked: bool) -> Tensor:
    """(S, H, W, C) of a picture, one frame, or of stacked observations in order of time.

    Of a stacked observation the smallest size counts channels. Three are colours; any other number are frames
    that the environment has stacked itself (gymnasium's `FrameStackObservation` puts them first).

    Args:
        one: (C, H, W) of a picture; (S, H, W), (S, H, W, C) or (S, C, H, W) of stacked observations.
        is_stacked: Which of these it is.
    """
    if not is_stacked:
        return one.permute(1, 2, 0)[None]
    if one.ndim == 3:
        return one[..., None]
    if one.shape[1] < min(one.shape[2:]):
        one = one.permute(0, 2, 3, 1)  # (S, H, W, C)
    return one if one.shape[-1] == COLOURS else one.permute(0, 3, 1, 2).flatten(0, 1)[..., None]


def as_image(frame: Tensor) -> Tensor:
    """(H, W, 3), or (H, W) of its last channel, of a frame (H, W, C)."""
    return frame.contiguous() if frame.shape[-1] == COLOURS else frame[..., -1]


def sums(of_frames: Tensor) -> list[tuple[str, float]]:
    """The sum over each frame of (S, H, W) by how long ago it was."""
    names = ["newest frame", "1 frame earlier", *(f"{i} frames earlier" for i in range(2, len(of_frames)))]
    return list(zip(names, of_frames.flip(0).sum((1, 2)).tolist(), strict=True))


def names_of(values: Tensor) -> list[str]:
    """A name for each number of a tensor: its place; of stacked observations how long ago as well."""
    *outer, last = values.shape if values.ndim else (1,)
    made = [""]
    for size in outer:
        made = [f"{before}{i}," if size > 1 else before for before in made for i in range(size)]
    return [f"number {before}{i}" for before in made for i in range(last)]
