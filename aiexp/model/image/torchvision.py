"""Any classification network of torchvision without its last layer, with weights from a file if wanted."""

import pickle
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError, DataError, SecurityError, nearest
from aiexp.model.carried import is_carried
from aiexp.model.layer.depthwise import use_depthwise
from aiexp.ranges import PositiveInt
from aiexp.source.download import is_offline

# Tensor letters: B batch, C channels, H height, W width, D features.

_DOWNLOAD_SECONDS = 30.0  # without a byte
# Networks whose builder takes more than others: no second classifiers, and no warning about initial weights.
_EXTRA: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
_SECOND_CLASSIFIERS = ("aux1.", "aux2.", "AuxLogits.")


@final
class TorchvisionModel(nn.Module):
    """A network of `torchvision.models`; the task adds the last layer.

    Source: torchvision.models, each network as published there.
    Departures: the last linear layer or 1x1 convolution is taken out; GoogLeNet and Inception have no second
    classifiers; images may be resized on the device before the network sees them.

    Args:
        name: A classification network of torchvision, such as resnet18.
        weights: None starts from random weights; "default" takes torchvision's newest pretrained ones, from
            its cache or downloaded; else the path of a state dict (safetensors, or .pt and .pth read with
            weights_only).
        channels: Of the images, 3.
        image_size: Height and width of the images in pixels.
        input_size: Height and width to which images are resized (bilinear) for the network; None: not.

    Raises:
        ConfigError: an unknown name, grey images, or images too small for the network.
        DataError: weights cannot be had, are damaged or belong to another network.
        SecurityError: a file of weights holds more than tensors.
    """

    def __init__(
        self,
        *,
        name: str,
        weights: str | None,
        channels: int,
        image_size: int,
        input_size: PositiveInt | None,
    ) -> None:
        super().__init__()
        if channels != 3:
            raise ConfigError(
                f"{name} takes colour images, these have {channels} channel(s)",
                where="channels", fix="dataset.channels=3",
            )  # fmt: skip
        self.input_size = input_size
        self.network, head = headless(name)
        use_depthwise(self.network)
        if weights is not None and is_carried():
            use_transform(self.network)
        elif weights is not None and not is_counting():
            state = default_weights(name) if weights == "default" else read_weights(Path(weights))
            assign(self.network, state, head, where=f"weights={weights}")
            use_transform(self.network)
        self.feature_size = self._measure(name, image_size)

    def forward(self, images: Tensor) -> Tensor:
        """(B, D) of normalised images (B, 3, H, W)."""
        if self.input_size is not None and self.input_size != images.shape[3]:
            size = (self.input_size, self.input_size)
            images = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        return self.network(images).flatten(1)

    def _measure(self, name: str, image_size: int) -> int:
        """D, found with one black image, which also shows whether the network takes this size."""
        self.eval()
        try:
            with torch.no_grad():
                features: Tensor = self(torch.zeros(1, 3, image_size, image_size))
        except (RuntimeError, AssertionError) as error:
            size = self.input_size or image_size
            reason = " ".join(str(error).split(". ")[0].split())[:120]
            raise ConfigError(
                f"{name} does not take images of {size} x {size} pixels ({reason})",
                where="image_size" if self.input_size is None else "input_size",
                fix="input_size=224 resizes them for the network",
            ) from error
        self.train()
        return features.shape[1]


def use_transform(network: nn.Module) -> None:
    """Lets a network scale its images as pretrained weights expect it."""
    if hasattr(network, "transform_input"):
        network.transform_input = True  # pyright: ignore[reportArgumentType]


def is_counting() -> bool:
    """Whether only shapes are wanted: `aiexp check` builds on the meta device to count parameters."""
    return torch.get_default_device().type == "meta"


def headless(name: str) -> tuple[nn.Module, str]:
    """The network without its last layer, and the name that this layer had.

    Raises:
        ConfigError: torchvision has no such classification network.
    """
    from torchvision import models

    names = models.list_models(module=models)  # without those of detection, segmentation, video, quantization
    if name not in names:
        raise ConfigError(
            f"torchvision has no classification network '{name}'.{nearest(name, names)}",
            where="name", fix="resnet18, mobilenet_v3_small, efficientnet_b0, convnext_tiny, ...",
        )  # fmt: skip
    make = partial(models.get_model, name, weights=None, **_EXTRA.get(name, {}))
    try:
        network: nn.Module = make()
    except NotImplementedError:  # RegNet computes its widths with tensors, which the meta device cannot
        with torch.device("cpu"):
            network = make().to("meta")
    # Every network registers its classifier last.
    layers = [key for key, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    network.set_submodule(layers[-1], nn.Identity())
    return network, layers[-1]


def assign(network: nn.Module, state: Mapping[str, Tensor], head: str, *, where: str) -> None:
    """Loads a state dict into a network without head; the file may have a head, of any number of classes.

    Raises:
        DataError: names or shapes differ.
    """
    expected = network.state_dict()
    state = {key.removeprefix("module."): value for key, value in state.items()}
    unneeded = (f"{head}.", *_SECOND_CLASSIFIERS)
    state = {key: value for key, value in state.items() if not key.startswith(unneeded)}
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    problems = [f"lacks {k}" for k in missing]
    problems += [f"has {k}" for k in state if k not in expected]
    problems += [
        f"{k} is {tuple(v.shape)} for {tuple(expected[k].shape)}"
        for k, v in state.items()
        if k in expected and v.shape != expected[k].shape
    ]
    if problems:
        raise DataError(
            f"the weights do not fit this network, in {len(problems)} place(s): {', '.join(problems[:3])}",
            where=where, fix="weights of the same network, or model.weights=null",
        )  # fmt: skip
    network.load_state_dict(state, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, which may lie under "state_dict" or "model" in the file.

    Raises:
        DataError: there is no such file, or it is damaged or holds no tensors.
        SecurityError: it holds more than tensors; unpickling that could run any code.
    """
    path = path.expanduser()
    if not path.is_file():
        raise DataError(
            f"there is no file of weights '{path}'", where="weights", fix="null, default, or a path"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" not in str(error):
            raise damaged(path, error) from error
        raise SecurityError(
            "the file holds more than tensors, which is never loaded", where=str(path),
            fix="save a state dict: torch.save(model.state_dict(), path)",
        ) from error  # fmt: skip
    except Exception as error:  # torch and safetensors name no common class
        raise damaged(path, error) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(
            "the file holds no state dict", where=str(path), fix="torch.save(model.state_dict(), path)"
        )
    return cast(dict[str, Tensor], content)


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a file that cannot be read."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return DataError(
        f"the weights cannot be read: {reason}", where=str(path), fix="delete the file and get it again"
    )


def default_weights(name: str) -> dict[str, Tensor]:
    """Torchvision's newest pretrained weights, from its cache or downloaded; their hash is checked.

    Raises:
        DataError: they are neither cached nor reachable, or damaged.
    """
    from torchvision import models

    weights: Any = models.get_model_weights(name).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    advice = f"put {file.name} into {file.parent}, give its path as model.weights, or model.weights=null"
    if not file.is_file() and is_offline():
        raise DataError(
            f"the weights of {name} are not in torchvision's cache, and AIEXP_OFFLINE is set",
            where="weights=default", fix=f"unset AIEXP_OFFLINE, or {advice}",
        )  # fmt: skip
    was_cached = file.is_file()
    try:
        with bounded_downloads():
            return weights.get_state_dict(
                progress=False, check_hash=True, weights_only=True, map_location="cpu"
            )
    except Exception as error:  # of the network, the disk, or whatever torch.load meets in a damaged file
        if was_cached:
            raise damaged(file, error) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise DataError(
            f"the weights of {name} could not be downloaded: {reason}",
            where="weights=default", fix=advice,
        ) from error  # fmt: skip


@contextmanager
def bounded_downloads() -> Generator[None]:
    """Lets a connection that says nothing for a while fail; torch.hub itself waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
