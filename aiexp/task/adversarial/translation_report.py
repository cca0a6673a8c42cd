"""Numbers and pictures about translations between two kinds of images."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor

from aiexp.task.picture_grid import picture_grid
from aiexp.task.report import Better

FOLLOWED = 5  # translations that a run shows the growth of
# Tensor letters: B batch, C channels, H height, W width.


@dataclass(frozen=True, kw_only=True, slots=True)
class Translations:
    """Real images, their translations and what comes back; all (B, C, H, W) float32 in [0, 1].

    Args:
        a: Real images of side A.
        b: Real images of side B; where the data are aligned, the true translations of `a`.
        fake_b: G(A).
        fake_a: F(B).
        cycled_a: F(G(A)).
        cycled_b: G(F(B)).
    """

    a: Tensor
    b: Tensor
    fake_b: Tensor
    fake_a: Tensor
    cycled_a: Tensor
    cycled_b: Tensor

    def chosen(self, rows: Tensor) -> "Translations":
        """The images of some rows: (B,) bool on the CPU."""
        return Translations(**{f.name: getattr(self, f.name).cpu()[rows] for f in fields(self)})

    def tensors(self) -> dict[str, Tensor]:
        """All of them by their names."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def pictures(self, is_aligned: bool) -> dict[str, bytes]:
        """Both directions as PNG, an image a column: A, G(A), F(G(A)) and the true B below each other."""
        rows = {
            "a_to_b": [self.a, self.fake_b, self.cycled_a, *([self.b] if is_aligned else [])],
            "b_to_a": [self.b, self.fake_a, self.cycled_b, *([self.a] if is_aligned else [])],
        }
        num = len(self.a)
        beside, followed = range(min(num, FOLLOWED)), range(num, num + min(num, FOLLOWED))
        return {
            name: picture_grid(torch.cat(row), num, None, followed=followed, beside=beside)
            for name, row in rows.items()
        }

    def distances(self, is_aligned: bool) -> dict[str, Tensor]:
        """(B,) float for each metric: how far cycles end from their start and translations from the truth."""
        distances = {
            "cycle_l1_a": l1_distances(self.cycled_a, self.a),
            "cycle_l1_b": l1_distances(self.cycled_b, self.b),
        }
        if not is_aligned:
            return {name: values.cpu() for name, values in distances.items()}
        for key, images, truth in (
            ("ab", self.fake_b, self.b),
            ("ba", self.fake_a, self.a),
            ("identity", self.a, self.b),
        ):
            distances[f"l1_{key}"] = l1_distances(images, truth)
            distances[f"ssim_{key}"] = structural_similarities(images, truth)
        return {name: values.cpu() for name, values in distances.items()}


def joined(parts: list[Translations]) -> Translations:
    """The images of all parts, in order."""
    return Translations(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(parts[0])})


def mean_distances(parts: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over all images of `Translations.distances` of batches, and the margins over doing nothing.

    The smallest of the four margins, by which a checkpoint can be chosen, is `margin_min`.
    """
    means = {name: torch.cat([p[name] for p in parts]).double().mean().item() for name in parts[0]}
    if "l1_identity" in means:
        for direction in ("ab", "ba"):
            means[f"margin_l1_{direction}"] = means["l1_identity"] - means[f"l1_{direction}"]
            means[f"margin_ssim_{direction}"] = means[f"ssim_{direction}"] - means["ssim_identity"]
        means["margin_min"] = min(value for name, value in means.items() if name.startswith("margin_"))
    return means


def better_distances(means: Iterable[str]) -> dict[str, Better]:
    """Which way the metrics that judge the translation are better; those of doing nothing do not."""
    judging = [name for name in means if "identity" not in name]
    return {name: "max" if name.startswith(("margin", "ssim")) else "min" for name in judging}


def l1_distances(images: Tensor, others: Tensor) -> Tensor:
    """(B,) mean absolute differences of (B, C, H, W) float images."""
    return (images - others).abs().mean((1, 2, 3))


def structural_similarities(images: Tensor, others: Tensor) -> Tensor:
    """(B,) float64 structural similarities of (B, C, H, W) float images in [0, 1]; 1 means equal.

    Source: Wang et al. 2004 (IEEE TIP 13, 4), by scikit-image: windows of 7 x 7, the mean over channels.
    """
    from skimage.metrics import structural_similarity

    pairs = zip(images.cpu().numpy(), others.cpu().numpy(), strict=True)
    values = [structural_similarity(a, b, channel_axis=0, data_range=1.0) for a, b in pairs]
    return torch.tensor(cast(list[float], values), dtype=torch.float64)
