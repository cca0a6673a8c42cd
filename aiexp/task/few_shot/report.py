"""What the evaluation of few-shot learning shows: intervals, curves of adaptation, an episode."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aiexp.figure.style import Drawn, drawing, saved
from aiexp.task.picture_grid import picture_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Tensor letters: M tasks, K support points, Q query points, S numbers of steps.

Z_95 = 1.959964  # two-sided 95 % of the normal distribution


def interval(values: Tensor) -> float:
    """Half the width of the 95 % interval of the mean of independent values (M,); 0 for a single one."""
    if len(values) < 2:
        return 0.0
    return Z_95 * values.double().std().item() / math.sqrt(len(values))


def mean_with_interval(name: str, values: Tensor) -> dict[str, float]:
    """`name` and `name_interval` of values (M,), one a task."""
    return {name: values.double().mean().item(), f"{name}_interval": interval(values)}


def adaptation_picture(
    batch: dict[str, Tensor], curves: dict[str, tuple[Tensor, list[int], Tensor]], columns: int
) -> Drawn:
    """For some tasks the true wave, the points given, and what is predicted after some steps.

    Args:
        batch: As of `aiexp.dataset.few_shot.sinusoids`, at least `columns` tasks.
        curves: Row title to x (P,), numbers of steps (S) and predictions (S, M, P, 1).
        columns: Tasks shown.
    """
    columns = min(columns, len(batch["amplitude"]))
    with drawing(2.3 * columns, 2.0 * len(curves)) as figure:
        grid: Any = figure.subplots(len(curves), columns, squeeze=False, sharex=True)
        draw_curves(grid, batch, curves)
        return saved(figure)


def draw_curves(
    grid: Any, batch: dict[str, Tensor], curves: dict[str, tuple[Tensor, list[int], Tensor]]
) -> None:
    """A row of axes for each of the curves, a column for each task; as of `adaptation_picture`."""
    for row, (title, (x, steps, predictions)) in enumerate(curves.items()):
        for task in range(grid.shape[1]):
            axes: Axes = grid[row][task]
            draw_wave(axes, batch, task, x)
            for number, step in enumerate(steps):
                y = predictions[number, task, :, 0].cpu().numpy()
                label = f"{step} step" if step == 1 else f"{step} steps"
                axes.plot(x.numpy(), y, label=label, color=f"C{number}", linewidth=1)
            if task == 0:
                axes.set_ylabel(title)
    grid[0][-1].legend(fontsize="x-small", loc="upper right")


def draw_wave(axes: "Axes", batch: dict[str, Tensor], task: int, x: Tensor) -> None:
    """The true wave in grey, the support points as triangles."""
    truth = batch["amplitude"][task].cpu() * torch.sin(x - batch["phase"][task].cpu())
    axes.plot(x.numpy(), truth.numpy(), color="0.75", linewidth=3, label="truth")
    points = (batch[name][task, :, 0].cpu().numpy() for name in ("support_x", "support_y"))
    axes.plot(*points, "^", color="0.2", markersize=5)
    axes.set_ylim(-5.5, 5.5)


def episode_picture(batch: dict[str, Tensor], predicted: Tensor, ways: int) -> bytes:
    """A PNG of the first episode: a column a class, the support examples above the query examples.

    Args:
        batch: As of `aiexp.dataset.few_shot.dataset`.
        predicted: (Q,) int64, the class that was predicted for each query example.
        ways: Classes of an episode.
    """
    support, query = batch["support_x"][0].cpu(), batch["query_x"][0].cpu()
    truth, answers = batch["query_y"][0].tolist(), predicted.tolist()
    captions = [f"given: {label}" for label in batch["support_y"][0].tolist()]
    captions += [str(a) if a == t else f"{a}, not {t}" for t, a in zip(truth, answers, strict=True)]
    return picture_grid(1 - torch.cat([support, query]), ways, captions)
