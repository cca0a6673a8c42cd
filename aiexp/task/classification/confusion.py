"""A confusion matrix as a figure, readable from 2 to 100 classes."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from aiexp.figure.style import COLUMN, PAGE, Drawn, drawing, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]

# Inches.
LARGEST_CELL, NUMBERED_CELL, SMALLEST_CELL = 0.5, 0.21, 0.07
MARGIN = 0.95  # of axis label, colour bar and title, beside class labels
MOST_COUNTED = 4  # classes up to which cells also hold how many examples there are
LONGEST_LABEL = 20  # letters
GAMMA = 0.45  # of the colours: a cell of one percent is seen


def confusion_figure(truth: Array, predicted: Array, class_names: list[str], score: str) -> Drawn:
    """A confusion matrix: the share of each true class that was taken for each class.

    Args:
        truth: (N,) int64 true classes.
        predicted: (N,) int64.
        class_names: C names.
        score: For the title.
    """
    from matplotlib.colors import PowerNorm
    from sklearn.metrics import confusion_matrix

    num = len(class_names)
    counts = confusion_matrix(truth, predicted, labels=list(range(num)))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    labels = [shortened(name) for name in class_names]
    cell = cell_size(num)
    letters = label_size(cell)
    beside = max(map(len, labels)) * letters * 0.6 / 72  # inches of the longest label
    upright = beside < 0.9 * cell
    below = letters / 72 if upright else beside if num > 25 else beside * 0.75
    size = cell * num + MARGIN
    with drawing(max(size + beside + 0.35, COLUMN), size + below) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(np.where(counts, shares, np.nan), cmap="Blues", norm=PowerNorm(GAMMA, 0, 1))
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title(score, parse_math=False)
        label_axes(axes, labels, letters, upright=upright)
        write_cells(axes, counts, shares, cell)
        bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
        bar.ax.set_yticklabels(["0", "1", "10", "25", "50", "100 %"])
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        return saved(figure)


def cell_size(num: int) -> float:
    """Inches of a cell's side, so that all fill a page at most."""
    return min(LARGEST_CELL, max((PAGE - MARGIN - 0.7) / num, SMALLEST_CELL))


def label_size(cell: float) -> float:
    """Points of a class label: not higher than its row."""
    return min(7.5, cell * 72 * 0.85)


def label_axes(axes: "Axes", labels: list[str], letters: float, *, upright: bool) -> None:
    """The names of the classes on both sides: upright where they fit, else as little turned as it goes."""
    places = range(len(labels))
    turned: dict[str, Any] = {"rotation": 90, "ha": "center"} if len(labels) > 25 else {
        "rotation": 45, "ha": "right", "rotation_mode": "anchor"
    }  # fmt: skip
    axes.set_xticks(places, labels, fontsize=letters, parse_math=False, **({} if upright else turned))
    axes.set_yticks(places, labels, fontsize=letters, parse_math=False)
    axes.tick_params(length=0, pad=2)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    lines = np.arange(len(labels) + 1) - 0.5
    axes.hlines(lines, -0.5, len(labels) - 0.5, color="#e4e4e4", linewidth=0.4, zorder=0)
    axes.vlines(lines, -0.5, len(labels) - 0.5, color="#e4e4e4", linewidth=0.4, zorder=0)


def write_cells(axes: "Axes", counts: Array, shares: Array, cell: float) -> None:
    """Percent into each cell that is not empty, where numbers can be read; few classes also get counts."""
    if cell < NUMBERED_CELL:
        return
    letters = min(9.0, cell * 72 * (0.3 if len(counts) <= 12 else 0.36))
    for row, column in np.argwhere(counts).tolist():
        share, color = shares[row, column], "white" if shares[row, column] > 0.35 else "#1f1f1f"
        text = percent(share, 1 if len(counts) <= 12 else 0)
        if len(counts) <= MOST_COUNTED:
            text += f" %\n{counts[row, column]:,}"
        # (Inside the axes: the layout need not measure them.)
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=letters, in_layout=False)


def percent(share: float, digits: int) -> str:
    """A share in percent, never rounded to none or to all."""
    least = 10.0**-digits
    shown = share * 100
    if share in (0, 1):
        return f"{shown:.0f}"
    if shown < least / 2:
        return f"<{least:g}"
    if shown > 100 - least / 2:
        return f">{100 - least:g}"
    return f"{shown:.{digits}f}"


def shortened(name: str) -> str:
    """A class name that leaves room for the matrix."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_LABEL else name[: math.ceil(LONGEST_LABEL / 2)] + "…" + name[-8:]
