"""Letters are drawn in a font that has them, and where there is none that is known."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aiexp.prediction.prediction import Prediction
from aiexp.use.explaining import letters
from aiexp.use.explaining.explanation import Explanation, Part, Word
from aiexp.use.explaining.figure import BOXES, Sheet, picture
from aiexp.use.explaining.letters import (
    is_right_to_left,
    lacking,
    own_font,
    path_of,
    runs,
    shortened,
    wrapped,
)

JAPANESE, EMOJI, ARABIC = "\u65e5\u672c", "\U0001f3ac", "\u0641\u064a\u0644\u0645"
CACHED = (path_of, letters.machine_fonts, letters.letters_of)


def make_font(path: Path, text: str, *, is_seen: bool = True) -> Path:
    """A font whose letters are black squares, or nothing at all."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen: Any = TTGlyphPen(None)
    empty = pen.glyph()
    for number, point in enumerate([(0, 0), (0, 800), (900, 800), (900, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    names = [".notdef", *(f"u{ord(letter):04X}" for letter in text)]
    builder: Any = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, text), names[1:], strict=True)))
    square = pen.glyph()
    builder.setupGlyf({name: square if is_seen and name != ".notdef" else empty for name in names})
    builder.setupHorizontalMetrics({name: (1000, 0) for name in names})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says which fonts the machine has."""

    def has(*paths: Path) -> None:
        monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(path) for path in paths])
        for cached in CACHED:
            cached.cache_clear()

    has()
    yield has
    for cached in CACHED:
        cached.cache_clear()


def explanation(*texts: str) -> Explanation:
    words = [Word(text=text, before=" ", value=1.0) for text in texts]
    part = Part(method="integrated_gradients", title="Integrated gradients", text="What.", words=words)
    return Explanation(
        name="one", run="r", prediction=Prediction(line="positive", values={}), chances=[], target="a",
        parts=[part],
    )  # fmt: skip


def test_each_letter_is_drawn_in_the_first_font_that_shows_it(tmp_path: Path, machine: Any) -> None:
    own = own_font()
    assert lacking(f"film {JAPANESE}") == JAPANESE
    assert runs(f"a{JAPANESE}") == [(own, f"a{JAPANESE}")]  # as boxes
    empty = make_font(tmp_path / "NotoSansCJK-Empty.ttf", JAPANESE, is_seen=False)
    bold = make_font(tmp_path / "NotoSansCJK-Bold.ttf", JAPANESE)
    regular = make_font(tmp_path / "NotoSansCJK-Regular.ttf", JAPANESE)
    emoji = make_font(tmp_path / "Another.ttf", EMOJI + JAPANESE)
    (tmp_path / "torn.ttf").write_bytes(b"no font")
    machine(tmp_path / "torn.ttf", emoji, bold, empty, regular)
    assert runs(f"film {JAPANESE} {EMOJI}\ufe0f a") == [
        (own, "film "), (regular, f"{JAPANESE} "), (emoji, f"{EMOJI}\ufe0f "), (own, "a"),
    ]  # fmt: skip
    assert lacking(f"{JAPANESE}{EMOJI}\u200d\u0301") == ""
    assert lacking("\uac00\uac00x\uac01") == "\uac00\uac01"


def test_fonts_of_the_machine_are_not_looked_for_without_need(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", None)
    assert (
        lacking("caf\u00e9 \u0444\u0438\u043b\u044c\u043c \u03c4\u03b1\u03b9\u03bd\u03af\u03b1 " + ARABIC)
        == ""
    )


def test_a_picture_has_the_letters_or_says_that_they_are_boxes(tmp_path: Path, machine: Any) -> None:
    poor = picture(explanation("film", JAPANESE, EMOJI))
    assert poor.boxes == JAPANESE + EMOJI
    machine(make_font(tmp_path / "all.ttf", JAPANESE + EMOJI))
    rich = picture(explanation("film", JAPANESE, EMOJI))
    assert rich.boxes == ""
    heights: list[int] = []
    for drawn in (poor, rich):
        image = Image.open(io.BytesIO(drawn.png)).convert("L")
        heights.append(image.height)
    assert heights[0] > heights[1]  # by the line that says it
    black = np.asarray(image) < 50
    runs_of_black = max(len(run) for row in black for run in "".join(map(str, row.astype(int))).split("0"))
    assert runs_of_black >= 14  # the squares of our font are 0.9 of 16 pixels wide


def test_the_line_that_speaks_of_boxes_can_be_drawn() -> None:
    assert lacking(BOXES) == ""


def test_words_from_right_to_left_begin_on_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_right_to_left(f"12 {ARABIC} film")
    assert not is_right_to_left(f"film {ARABIC}")
    assert not is_right_to_left("12")

    def places(*texts: str) -> list[float]:
        found: dict[str, float] = {}
        monkeypatch.setattr(Sheet, "text", lambda _, x, __, text, **___: found.setdefault(text, x))
        Sheet().words(explanation(*texts).parts[0])
        return list(found.values())

    first, second = places("film", "great")
    assert 36 == first < second
    first, second = places(ARABIC, ARABIC * 2)
    assert 960 - 36 > first > second > 800


def test_lines_are_as_long_as_their_letters_are_wide() -> None:
    assert wrapped("a film to remember", 10, 3) == ["a film to", "remember"]
    assert wrapped("\u65e5" * 12, 10, 3) == ["\u65e5" * 5, "\u65e5" * 5, "\u65e5" * 2]
    assert wrapped("\u65e5" * 30, 10, 3) == ["\u65e5" * 5, "\u65e5" * 5, "\u65e5" * 3 + " ..."]
    assert wrapped("word " * 9, 10, 2) == ["word word", "word w ..."]
    assert wrapped(" ", 10, 3) == []
    assert shortened("\u65e5" * 12, 24) == "\u65e5" * 12
    assert shortened("\u65e5" * 13, 24) == "\u65e5" * 10 + "..."
