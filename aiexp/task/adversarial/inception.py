"""The Frechet inception distance of the papers, by the package torchmetrics."""

from typing import Any, final

import torch
from torch import Tensor

from aiexp.errors import ConfigError, DataError, reason_of

KEY = "SampleQuality.inception_fid"
FEATURES = 2048
IMAGES_AT_ONCE = 50


@final
class InceptionDistance:
    """FID on Inception-v3's 2048 features, with the papers' weights, which the package fetches (91 MB).

    Source: Heusel et al. 2017 (arXiv 1706.08500); weights and resizing as in torch-fidelity.

    Raises:
        ConfigError: the package is not installed.
        DataError: its weights are not there and cannot be fetched.
    """

    def __init__(self) -> None:
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance

            self.metric: Any = FrechetInceptionDistance(feature=FEATURES)
        except ModuleNotFoundError as error:
            raise ConfigError(
                "the FID needs the packages torchmetrics and torch-fidelity", where=f"{KEY}=true",
                fix="pip install 'aiexp[fid]'",
            ) from error  # fmt: skip
        except OSError as error:  # what urllib raises without a network
            raise DataError(
                f"Inception's weights cannot be fetched: {reason_of(error)}",
                where=f"{KEY}=true", fix=f"a network that reaches them, or {KEY}=false",
            ) from error  # fmt: skip

    def __call__(self, first: Tensor, second: Tensor, device: torch.device) -> float:
        """The distance between two sets of (N, C, H, W) uint8 images; grey ones are made RGB."""
        metric = self.metric.to(device)
        metric.reset()
        with torch.autocast(device.type, enabled=False):  # the published weights are meant for fp32
            for images, is_real in ((second, True), (first, False)):
                for part in images.split(IMAGES_AT_ONCE):
                    metric.update(part.to(device).expand(-1, 3, -1, -1), real=is_real)
            return float(metric.compute())
