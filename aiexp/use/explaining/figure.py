"""An explanation as one PNG, drawn from the top down."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from aiexp.text.terminal import visible
from aiexp.use.explaining.explanation import Explanation, Part
from aiexp.use.explaining.heat import AGAINST, FOR
from aiexp.use.explaining.letters import (
    font,
    is_right_to_left,
    lacking,
    length,
    own_font,
    runs,
    shortened,
    wrapped,
)

# Pixels.
WIDTH, MARGIN, GAP = 960, 36, 18
SMALL, LARGE, TITLE = 16, 20, 24  # heights of letters
LINE, BAR = 30, 26
SIDE = 288  # of a picture
BARS, NUMBERS = 270, 730  # where these begin
INK, SOFT, PAPER = (0, 0, 0), (92, 98, 109), (255, 255, 255)
STRONG = 0.75  # of the colour under the strongest word
CELL = 0.56  # of a letter's height: its width, half of a Chinese one's
LONGEST_NAME, LONGEST_WORD, MOST_LINES = 24, 80, 3  # cells, cells, lines
BOXES = "Letters that no font here has are drawn as boxes; the page shows them."

Color = tuple[int, int, int]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An explanation as it was drawn.

    Args:
        png: The file.
        boxes: The letters that no font has, each once; boxes stand for them.
    """

    png: bytes
    boxes: str


def picture(explanation: Explanation) -> Picture:
    """The PNG."""
    return Sheet().draw(explanation)


@final
class Sheet:
    """A page on which one writes from the top down, as long as that gets."""

    def __init__(self) -> None:
        self.y = MARGIN
        self.strokes: list[Callable[[Any, Any], object]] = []  # of the picture, and what draws on it
        self.boxes: dict[str, None] = {}  # letters

    def draw(self, explanation: Explanation) -> Picture:
        """Everything."""
        from PIL import Image, ImageDraw

        self.line(explanation.prediction.line, size=TITLE)
        self.line(f"{explanation.name} ({explanation.run})", color=SOFT)
        for note in explanation.notes:
            self.line(note, color=SOFT)
        self.line(f"explained: {explanation.target}")
        for part in explanation.parts:
            self.part(part)
        if self.boxes:
            self.y += GAP
            self.line(BOXES, color=SOFT)
        image = Image.new("RGB", (WIDTH, self.y + MARGIN), PAPER)
        drawing = ImageDraw.Draw(image)
        for stroke in self.strokes:
            stroke(image, drawing)
        buffer = io.BytesIO()
        image.save(buffer, format="png", optimize=True)
        return Picture(png=buffer.getvalue(), boxes="".join(self.boxes))

    def part(self, part: Part) -> None:
        """What one method says."""
        self.y += GAP
        self.line(part.title, size=LARGE)
        self.line(part.text, color=SOFT)
        if part.words:
            self.words(part)
        if part.panels:
            self.panels(part)
        self.bars(part)
        if part.attribution is not None:
            self.line(part.attribution.line(), color=SOFT)

    def line(self, text: str, *, size: int = SMALL, color: Color = INK) -> None:
        """Text, in as many lines as it needs, up to three."""
        for one in wrapped(visible(text), int((WIDTH - 2 * MARGIN) / (CELL * size)), MOST_LINES):
            self.text(MARGIN, self.y, one, size=size, color=color)
            self.y += LINE * size // SMALL

    def text(self, x: float, y: float, text: str, *, size: int = SMALL, color: Color = INK) -> None:
        """Text whose upper left corner is here."""
        text = visible(text)
        self.boxes |= dict.fromkeys(lacking(text))
        base = y + font(own_font(), size).getmetrics()[0]  # on which all fonts stand
        for path, piece in runs(text):
            letters = font(path, size)
            self.strokes.append(
                lambda _, on, x=x, piece=piece, letters=letters: on.text(
                    (x, base), piece, fill=color, font=letters, anchor="ls"
                )
            )
            x += letters.getlength(piece)

    def box(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """A rectangle."""
        self.strokes.append(lambda _, on: on.rectangle((x, y, x + width, y + height), fill=color))

    def words(self, part: Part) -> None:
        """The text, each word on the colour of its value; begins on the side on which its script does."""
        largest = max((abs(w.value) for w in part.words if not w.is_special), default=0.0) or 1.0
        space = length(" ", SMALL)
        is_mirrored = is_right_to_left("".join(w.text for w in part.words if not w.is_special))
        x: float = MARGIN
        for word in part.words:
            text = shortened(visible(word.text), LONGEST_WORD)
            width = length(text, SMALL)
            x += space if word.before and x > MARGIN else 0.0
            if (x + width > WIDTH - MARGIN and x > MARGIN) or "\n" in word.before:
                x, self.y = MARGIN, self.y + LINE
            share = 0.0 if word.is_special else STRONG * abs(word.value) / largest
            left = WIDTH - x - width if is_mirrored else x
            self.box(left - 1, self.y - 2, width + 2, LINE - 7, blended(word.value, share))
            self.text(left, self.y, text, color=SOFT if word.is_special else INK)
            x += width + 2
        self.y += LINE + GAP

    def panels(self, part: Part) -> None:
        """Pictures side by side."""
        from PIL import Image

        for number, panel in enumerate(part.panels):
            place = MARGIN + number * (SIDE + GAP), self.y
            large = Image.fromarray(panel.pixels)
            factor = SIDE / max(large.size)
            large = large.resize(
                (round(large.width * factor), round(large.height * factor)), Image.Resampling.NEAREST
            )
            self.strokes.append(lambda on, _, large=large, place=place: on.paste(large, place))
            self.text(place[0], self.y + SIDE + 4, panel.caption, color=SOFT)
        self.y += SIDE + LINE

    def bars(self, part: Part) -> None:
        """The strongest values with a bar each."""
        largest = max((abs(value) for _, value in part.strongest), default=0.0) or 1.0
        for name, value in part.strongest:
            self.text(MARGIN, self.y, shortened(visible(name), LONGEST_NAME))
            width = max(1.0, (NUMBERS - BARS - GAP) * abs(value) / largest)
            self.box(BARS, self.y + 2, width, BAR - 10, blended(value, 1.0))
            self.text(NUMBERS, self.y, f"{value:.4g}")
            self.y += BAR
        self.y += GAP if part.strongest else 0


def blended(value: float, share: float) -> Color:
    """So much of the colour of a value's sign, on paper."""
    color = FOR if value > 0 else AGAINST
    red, green, blue = (round(p + share * (c - p)) for p, c in zip(PAPER, color, strict=True))
    return red, green, blue
