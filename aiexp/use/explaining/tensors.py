"""Pictures and observations explained: one tensor of pixels or numbers."""

from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aiexp.errors import ConfigError
from aiexp.use.explaining.explainer import Asked, Explainer
from aiexp.use.explaining.explanation import Panel, Part, strongest
from aiexp.use.explaining.grad_cam import grad_cam, last_feature_map
from aiexp.use.explaining.gradients import gradient, integrated_gradients
from aiexp.use.explaining.heat import bright, overlaid, signed

# Tensor letters: B batch, S stacked frames, C channels, H height, W width.

SCALES = (1.0, 1 / 255)  # what networks make of pixels that come as floats


@final
class TensorExplainer(Explainer):
    """Explains one tensor of a batch.

    Args:
        task: Holds the network.
        name: Of the tensor in a batch.
    """

    methods: ClassVar[tuple[str, ...]] = ("grad_cam", "integrated_gradients", "saliency")

    def __init__(self, task: nn.Module, name: str) -> None:
        self.task, self.name = task, name

    def notes(self, value: Any) -> list[str]:
        """Nothing."""
        return []

    def grad_cam(self, asked: Asked) -> Part | None:
        """Of pictures and a network with convolutions."""
        function, example = self.as_floats(asked)
        layer = last_feature_map(self.task, lambda: function(example)) if self.is_picture(asked) else None
        if layer is None:
            return None
        image = as_image(asked.batch[self.name])
        heat = grad_cam(function, layer, example)
        text = f"Where the network's last feature map speaks for {asked.name}."
        if not heat.any():
            text = f"Nothing in the network's last feature map speaks for {asked.name}."
        panels = pair(image, overlaid(image, heat), "Grad-CAM")
        return Part(method="grad_cam", title="Grad-CAM", text=text, panels=panels)

    def integrated_gradients(self, asked: Asked) -> Part:
        """Seen from zeros: a black picture."""
        function, example = self.as_floats(asked)
        attribution = integrated_gradients(function, example, torch.zeros_like(example))
        is_picture = self.is_picture(asked)
        each, zero = ("pixel", "a black picture") if is_picture else ("number", "zeros")
        text = f"What each {each} adds to the output of {asked.name}, seen from {zero}."
        shown = self.shown(asked, attribution.values, is_picture)
        return Part(
            method="integrated_gradients", title="Integrated gradients", text=text,
            attribution=attribution, **shown,
        )  # fmt: skip

    def saliency(self, asked: Asked) -> Part:
        """The gradient as it is."""
        function, example = self.as_floats(asked)
        slopes = gradient(function, example)
        is_picture = self.is_picture(asked)
        each = "pixel" if is_picture else "number"
        text = f"How the output of {asked.name} changes with each {each}: its gradient."
        shown = self.shown(asked, slopes.abs() if is_picture else slopes, is_picture)
        return Part(method="saliency", title="Saliency", text=text, **shown)

    def is_picture(self, asked: Asked) -> bool:
        """Whether the tensor is pixels, of one picture or of stacked frames."""
        tensor = asked.batch[self.name]
        return tensor.dtype == torch.uint8 and tensor.ndim >= 4

    def shown(self, asked: Asked, values: Tensor, is_picture: bool) -> dict[str, Any]:
        """Values of pixels as a panel, of numbers by their names."""
        if not is_picture:
            return {
                "strongest": strongest(list(zip(names_of(values), values.flatten().tolist(), strict=True)))
            }
        image = as_image(asked.batch[self.name])
        heat = flat(values[None])
        return {"panels": pair(image, signed(image, heat), "each pixel")}

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


def as_image(tensor: Tensor) -> Tensor:
    """(H, W) or (H, W, 3) uint8 on the CPU: the picture, or the last of stacked frames, of a batch of one."""
    one = tensor[0].cpu()
    if one.ndim == 4:  # (S, H, W, C)
        one = one[-1].permute(2, 0, 1)
    return one.permute(1, 2, 0).contiguous() if len(one) == 3 else one[-1]


def flat(values: Tensor) -> Tensor:
    """(H, W) sums over frames and channels of values of a batch of one."""
    one = values[0]
    return one.sum((0, 3)) if one.ndim == 4 else one.sum(0)


def names_of(values: Tensor) -> list[str]:
    """A name for each number of a tensor: its place; of stacked observations how long ago as well."""
    *outer, last = values.shape if values.ndim else (1,)
    made = [""]
    for size in outer:
        made = [f"{before}{i}," if size > 1 else before for before in made for i in range(size)]
    return [f"number {before}{i}" for before in made for i in range(last)]
