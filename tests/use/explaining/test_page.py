"""The page needs nothing but itself, and runs nothing of what stands in a text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.prediction.prediction import Prediction
from aiexp.use.explaining.explanation import Explanation, Panel, Part, Word
from aiexp.use.explaining.figure import picture
from aiexp.use.explaining.gradients import Attribution
from aiexp.use.explaining.page import page
from tests.compare.page_runs import browser, needs_browser

EVIL = "<img src=https://x.example/a onerror=alert(1)></style><script>alert(2)</script>\x1b[2J\u202e$x_1$"


def explanation(text: str) -> Explanation:
    words = [Word(text=w, before=" ", value=v) for w, v in [(text, 0.5), ("dull", -1.0), ("film", 0.0)]] * 30
    attribution = Attribution(values=torch.tensor([0.5, -1.0]), output=0.5, baseline=1.001, steps=16)
    gradients = Part(
        method="integrated_gradients",
        title=text,
        text=text,
        words=words,
        strongest=[(text, 0.5), ("dull", -1.0)],
        attribution=attribution,
    )
    special = [Word(text="[CLS]", before="", value=0.5, is_special=True), *words]
    layers = [[0.2] * 24 for _ in special]
    attention = Part(method="attention", title="Attention", text=text, words=special, layers=layers)
    panels = [Panel(pixels=np.zeros((30, 50, 3), np.uint8), caption=text)]
    return Explanation(
        name=text,
        run=text,
        prediction=Prediction(line=text, values={"label": text}),
        chances=[(text, 0.9), ("b", 0.1)],
        target=text,
        parts=[gradients, attention, Part(method="grad_cam", title="Grad-CAM", text=text, panels=panels)],
        notes=[text],
    )


def test_texts_are_escaped_and_nothing_comes_from_elsewhere() -> None:
    made = page(explanation(EVIL))
    assert "<script" not in made
    assert "<img src" not in made
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert set(re.findall(r'(?:src|href)="([^"]{0,22})', made)) == {"data:image/png;base64,"}
    assert "completeness error 0.001, 0.2 % of the difference, with 16 steps" in made


def test_the_picture_draws_any_text() -> None:
    for text in (EVIL, "", "\u65e5\u672c" * 40, "word " * 500):
        assert picture(explanation(text)).png.startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@needs_browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1200)])
def test_it_fits_a_phone_and_the_dark_and_says_nothing(
    chromium: Any, tmp_path: Path, scheme: str, width: int
) -> None:
    path = tmp_path / "why.html"
    path.write_text(page(explanation(EVIL)))
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    opened, requests = context.new_page(), list[str]()
    problems = list[str]()

    def note(message: Any) -> None:
        problems.append(message.text)

    def request(asked: Any) -> None:
        requests.append(asked.url)

    opened.on("console", note)
    opened.on("request", request)
    opened.goto(path.as_uri())
    opened.evaluate("document.querySelector('details').open = true")
    assert problems == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    light = opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    context.close()
