"""What an evaluation of found numbers shows: errors, a picture of all of them, the largest."""

from typing import Any

import torch
from torch import Tensor

from aiexp.figure.style import COLUMN, Drawn, drawing, saved
from aiexp.task.report import Better, Table

BETTER: dict[str, Better] = {"loss": "min", "mae": "min", "rmse": "min", "r2": "max"}
_DIGITS, MOST_PANELS = 6, 4
MOST_POINTS = 2000  # drawn one by one in a PDF


def regression_metrics(truth: Tensor, found: Tensor) -> dict[str, float]:
    """Mean absolute error, root of the mean squared error, and the explained share of the variance.

    Args:
        truth: (N, T) float32.
        found: (N, T) float32.
    """
    error = (found - truth).double()
    spread = (truth.double() - truth.double().mean(0)).square().sum(0)
    unexplained = error.square().sum(0) / torch.where(spread > 0, spread, torch.nan)
    return {
        "mae": error.abs().mean().item(),
        "rmse": error.square().mean().sqrt().item(),
        "r2": (1 - unexplained).nanmean().item(),
    }


def regression_report(truth: Tensor, found: Tensor, split: str, num_worst: int) -> tuple[Drawn, Table]:
    """A figure of found over true numbers, and a table of the largest errors."""
    error = (found - truth).abs()
    worst = error.amax(1).argsort(descending=True, stable=True)[:num_worst].tolist()
    rows: list[list[str | int | float]] = []
    for row in worst:
        target = int(error[row].argmax())
        values = (truth[row, target].item(), found[row, target].item())
        rows.append([f"{split}[{row}]", target, *(float(f"{value:.{_DIGITS}g}") for value in values)])
    return predictions_picture(truth, found), Table(
        columns=["example", "target", "true", "predicted"], rows=rows
    )


def predictions_picture(truth: Tensor, found: Tensor) -> Drawn:
    """Found over true numbers (N, T), a panel for each of the first targets; on the line they are equal."""
    columns = min(truth.shape[1], MOST_PANELS)
    r2 = regression_metrics(truth, found)["r2"]
    with drawing(COLUMN * columns, COLUMN * 0.95) as figure:
        grid: Any = figure.subplots(1, columns, squeeze=False)[0]
        for target, axes in enumerate(grid):
            x, y = truth[:, target].numpy(), found[:, target].numpy()
            ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
            axes.plot(ends, ends, color="0.6", linewidth=0.8, linestyle="--")
            alpha = min(1.0, 12 / len(x) ** 0.5)
            axes.scatter(x, y, s=9, alpha=alpha, linewidths=0, rasterized=len(x) > MOST_POINTS)
            axes.set(xlabel="true", ylabel="predicted", aspect="equal")
            axes.set_title(f"R² {r2:.3f} of {len(x):,} examples" if columns == 1 else f"target {target}")
        return saved(figure)
