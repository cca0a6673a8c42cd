"""The reliability diagram: how often a classifier is right, by how sure it is."""

from typing import Any

import numpy as np

from aiexp.figure.style import COLUMN, Drawn, drawing, saved
from aiexp.use.evaluating.calibration import Bin, Calibration

BLUE, RED, GREY = "#3b6ea8", "#c8553d", "#8a8a8a"


def reliability_diagram(calibration: Calibration, title: str) -> Drawn:
    """Accuracy of each bin of confidence beside the diagonal; below, where the examples are."""
    error = f"ECE {calibration.error:.4f}"
    if calibration.error_after is not None:
        error += f", {calibration.error_after:.4f} at temperature {calibration.temperature:.2f}"
    with drawing(COLUMN, 1.12 * COLUMN) as figure:
        axes: Any = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        draw_bins(axes[0], calibration)
        axes[0].set_title(f"{title}\n{error}", parse_math=False)
        draw_counts(axes[1], calibration.bins)
        figure.legend(loc="outside lower center", ncols=2)  # no bar lies under it
        return saved(figure)


def draw_bins(axes: Any, calibration: Calibration) -> None:
    """Accuracy as bars, and what is missing or too much to the confidence of the bin."""
    filled = [one for one in calibration.bins if one.count]
    left, width = [one.low for one in filled], [one.high - one.low for one in filled]
    accuracy = np.array([one.accuracy for one in filled])
    gap = np.array([one.confidence for one in filled]) - accuracy
    axes.bar(left, accuracy, width, align="edge", color=BLUE, edgecolor="white", label="accuracy")
    axes.bar(
        left, gap, width, bottom=accuracy, align="edge", color=RED, alpha=0.3, edgecolor=RED, hatch="///",
        linewidth=0.5, label="from accuracy to confidence",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")


def draw_counts(axes: Any, bins: list[Bin]) -> None:
    """How many examples each bin has."""
    axes.bar([one.low for one in bins], [one.count for one in bins], 1 / len(bins), align="edge",
             color=GREY, edgecolor="white")  # fmt: skip
    axes.set(xlabel="confidence", ylabel="examples")
