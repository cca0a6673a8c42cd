"""Figures: one style, both formats, what a reader must see in them."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.figure.curves import curves_figure, judged_by, read_curves
from aiexp.figure.growth import growth_figure, read_sheet
from aiexp.figure.style import drawing, saved
from aiexp.task.classification.confusion import confusion_figure, percent
from aiexp.task.picture_grid import picture_grid


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def test_a_figure_is_the_same_bytes_each_time_and_leaves_no_settings_behind() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)

    def draw() -> Any:
        with drawing(2, 1) as figure:
            figure.add_subplot().plot([1, 2])
            return saved(figure)

    one, other = draw(), draw()
    assert one == other
    assert one.png.startswith(b"\x89PNG")
    assert one.pdf.startswith(b"%PDF")
    assert size_of(one.png) == (400, 200)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.0001, 1, "<0.1"), (0.99999, 1, ">99.9"), (1.0, 1, "100"), (0.123, 1, "12.3"), (0.004, 0, "<1"),
     (0.996, 0, ">99"), (0.5, 0, "50")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_none_or_to_all(share: float, digits: int, text: str) -> None:
    assert percent(share, digits) == text


@pytest.mark.parametrize("num", [2, 10, 30, 100])
def test_a_confusion_matrix_of_any_size_and_any_names(num: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    written: list[str] = []
    original = Axes.text

    def text(self: Any, x: Any, y: Any, s: str, *args: Any, **keywords: Any) -> Any:
        written.append(s)
        return original(self, x, y, s, *args, **keywords)

    monkeypatch.setattr(Axes, "text", text)
    truth = np.arange(num * 10) % num
    predicted = np.where(np.arange(len(truth)) < num, (truth + 1) % num, truth)
    names = ["costs $5 or $6", "猫" * 30, *(f"class number {i}" for i in range(num))][:num]
    drawn = confusion_figure(truth, predicted, names, "accuracy 0.9000")
    width, height = size_of(drawn.png)
    assert max(width, height) < 2100
    if num == 2:
        assert sorted(written) == ["10.0 %\n1"] * 2 + ["90.0 %\n9"] * 2
    if num == 10:
        assert sorted(written) == ["10.0"] * 10 + ["90.0"] * 10  # nothing where nothing was
    if num == 100:
        assert written == []


def lines() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for step in range(10, 101, 10):
        made.append(
            {"step": step, "train/loss": 1 / step, "train/accuracy": step / 100, "time/step_seconds": 1}
        )
        if step % 50 == 0:
            made.append(
                {"step": step, "eval/loss": 2 / step, "eval/accuracy": step / 200, "eval/nan": float("nan")}
            )
    return made


def test_curves_are_the_losses_and_what_the_run_is_judged_by() -> None:
    curves = read_curves(lines())
    assert set(curves) == {"train/loss", "train/accuracy", "eval/loss", "eval/accuracy"}
    assert curves["eval/loss"].steps == [50, 100]
    better = {"eval/loss": "min", "eval/accuracy": "max"}
    for monitor in (None, "eval/loss", "eval/accuracy"):
        assert set(judged_by(curves, monitor, better)) == {"train/accuracy", "eval/accuracy"}
    assert judged_by(curves, "eval/loss", {}) == {}
    env = {"step": 1, "env/return": 1, "eval/return_mean": 2, "train/q": 1}
    agent = read_curves([env, env | {"step": 2}])
    assert set(judged_by(agent, "eval/return_mean", {})) == {"env/return", "eval/return_mean"}


@pytest.mark.parametrize("count", [10, 3000])
def test_curves_are_drawn_from_few_and_from_many_lines(count: int) -> None:
    many = [{"step": step, "train/loss": 1e3 / (step + 1)} for step in range(count)]
    drawn = curves_figure(many, None, {})
    assert drawn is not None
    assert len(drawn.png) < 200_000
    assert curves_figure(many[:1], None, {}) is None


def sheets(count: int, **followed: Any) -> dict[int, bytes]:
    return {
        step: picture_grid(torch.full((6, 3, 8, 8), step / 100), 3, None, **followed)
        for step in range(0, 10 * count, 10)
    }


def test_a_strip_shows_the_same_tiles_over_all_evaluations() -> None:
    made = sheets(10, followed=[1, 4], beside=[0, 3])
    found = read_sheet(made[50])
    assert found is not None
    tile = found[0].tile(found[1], 4)
    assert tile.shape == (56, 56, 3)
    assert (tile == 128).all()  # 0.5
    drawn = growth_figure(made)
    assert drawn is not None
    shown = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L"))
    row = shown[shown.shape[0] // 2]
    assert {0, 255} < set(row.tolist())
    assert len({value for value in row.tolist() if (row == value).sum() > 50}) >= 8  # a grey for each step
    assert growth_figure(sheets(2, followed=[0])) is None
    assert growth_figure(sheets(5)) is None
    assert growth_figure({1: b"no picture", 2: b"", 3: b"\x89PNG"}) is None
