"""The learning curves of a run: losses, and beside them the metric that it is judged by."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiexp.figure.style import COLUMN, PAGE, Drawn, drawing, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS = "loss"
SPLITS = ("train", "env", "eval")  # in the order in which they are drawn, one over the other
HEIGHT = 2.4  # inches
MOST_POINTS = 400  # of a curve; of more, means are drawn over the band that they lie in
MOST_CURVES = 6  # of a panel
WIDE = 30.0  # a range over which losses are drawn by their logarithms


@dataclass(slots=True)
class Curve:
    """The values of a metric by steps."""

    steps: list[int] = field(default_factory=lambda: [])
    values: list[float] = field(default_factory=lambda: [])


def curves_figure(
    lines: Iterable[Mapping[str, Any]], monitor: str | None, better: Mapping[str, str]
) -> Drawn | None:
    """A figure of the curves; None where nothing has been logged twice.

    Args:
        lines: `step` and metrics by their full names.
        monitor: The metric that the best checkpoint was chosen by.
        better: Whether more or less is better, of the metrics that say so.
    """
    curves = read_curves(lines)
    losses = {name: curve for name, curve in curves.items() if parts(name)[1].split("/")[0] == LOSS}
    judged = judged_by(curves, monitor, better)
    panels = [(panel, title) for panel, title in ((losses, LOSS), (judged, "")) if panel]
    if not panels:
        return None
    with drawing(PAGE if len(panels) > 1 else COLUMN * 1.3, HEIGHT) as figure:
        grid: Any = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (panel, title) in zip(grid, panels, strict=True):
            draw_panel(axes, panel, title or parts(next(iter(panel)))[1], monitor, better)
        return saved(figure)


def read_curves(lines: Iterable[Mapping[str, Any]]) -> dict[str, Curve]:
    """Metrics of training, evaluations and environments that have more than one finite value."""
    curves: dict[str, Curve] = {}
    for line in lines:
        for name, value in line.items():
            if parts(name)[0] in SPLITS and isinstance(value, int | float) and math.isfinite(value):
                curve = curves.setdefault(name, Curve())
                if curve.steps and curve.steps[-1] == line["step"]:
                    curve.values[-1] = float(value)
                else:
                    curve.steps.append(int(line["step"]))
                    curve.values.append(float(value))
    return {name: curve for name, curve in curves.items() if len(curve.steps) > 1}


def judged_by(
    curves: Mapping[str, Curve], monitor: str | None, better: Mapping[str, str]
) -> dict[str, Curve]:
    """The curves of the metric that a run is judged by, of every split that has it; none for its loss."""
    names = [monitor or "", *(name for name in better if name.startswith("eval/"))]
    bases = [parts(name)[1] for name in names if name in curves]
    base = next((base for base in bases if base.split("/")[0] != LOSS), None)
    if base is None:
        return {}
    same = {name: curve for name, curve in curves.items() if parts(name)[1] == base}
    # What environments give while an agent explores goes beside what it gets in evaluations.
    return same | {
        name: curve
        for name, curve in curves.items()
        if name.startswith("env/") and base.startswith(parts(name)[1])
    }


def parts(name: str) -> tuple[str, str]:
    """`eval/loss/generator` as `eval` and `loss/generator`."""
    split, _, base = name.partition("/")
    return split, base


def draw_panel(
    axes: "Axes", panel: Mapping[str, Curve], title: str, monitor: str | None, better: Mapping[str, str]
) -> None:
    """Some curves with a legend; the best value of what was monitored as a dot."""
    ordered = sorted(panel.items(), key=lambda item: SPLITS.index(parts(item[0])[0]))
    chosen = dict(ordered[:MOST_CURVES])
    for number, (name, curve) in enumerate(chosen.items()):
        draw_curve(axes, curve, name, f"C{number}")
        way = better.get(name, "min")
        if name == monitor or (monitor is None and name == f"eval/{title}" and title != LOSS):
            best = (max if way == "max" else min)(range(len(curve.values)), key=curve.values.__getitem__)
            axes.plot(curve.steps[best], curve.values[best], "o", color=f"C{number}", markersize=4.5)
            text = f"best {curve.values[best]:.4g} at step {curve.steps[best]:,}"
            axes.set_title(text, fontsize="small", loc="right", parse_math=False)
    values = [value for curve in chosen.values() for value in curve.values]
    if title == LOSS and min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel=title)
    axes.margins(x=0.02)
    axes.legend(loc="best")


def draw_curve(axes: "Axes", curve: Curve, name: str, color: str) -> None:
    """A line; of many points their means, over the band between the smallest and the largest."""
    import numpy as np

    steps, values = np.array(curve.steps), np.array(curve.values)
    if len(steps) <= MOST_POINTS:
        few = len(steps) <= 30
        width = 1.4 if few else 0.9
        axes.plot(
            steps, values, color=color, label=name, marker="o" if few else "", markersize=2.2, linewidth=width
        )
        return
    starts = np.linspace(0, len(steps), MOST_POINTS // 2 + 1).astype(int)[:-1]
    counts = np.diff(np.append(starts, len(steps)))
    middle = np.add.reduceat(steps, starts) / counts
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    axes.fill_between(middle, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(middle, np.add.reduceat(values, starts) / counts, color=color, label=name, linewidth=0.9)
