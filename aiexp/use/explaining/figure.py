"""An explanation as one PNG, drawn from the top down."""

import io
import warnings
from typing import Any, final

from aiexp.text.terminal import visible
from aiexp.use.explaining.explanation import Explanation, Part
from aiexp.use.explaining.heat import AGAINST, FOR

# Inches.
WIDTH, MARGIN = 8.0, 0.3
LINE, GAP, BAR = 0.28, 0.15, 0.22
SIDE = 2.4  # of a picture
DPI = 120
SIZE = 9.5  # points
SOFT = "#5c626d"
LONGEST_LINE, LONGEST_NAME = 96, 24


def picture(explanation: Explanation) -> bytes:
    """The PNG."""
    return Sheet().draw(explanation)


@final
class Sheet:
    """A page of as many inches as are needed, on which one draws from the top down."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(WIDTH, 1), dpi=DPI)
        self.canvas: Any = FigureCanvasAgg(self.figure)
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis("off")
        self.y = MARGIN

    def draw(self, explanation: Explanation) -> bytes:
        """Everything; returns the PNG."""
        self.line(explanation.prediction.line, size=14)
        self.line(f"{explanation.name} ({explanation.run})", color=SOFT)
        for note in explanation.notes:
            self.line(note, color=SOFT)
        self.line(f"explained: {explanation.target}")
        for part in explanation.parts:
            self.part(part)
        height = self.y + MARGIN
        self.figure.set_size_inches(WIDTH, height)
        self.axes.set_xlim(0, WIDTH)
        self.axes.set_ylim(height, 0)
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # scripts that the font lacks show as boxes
            self.figure.savefig(buffer, format="png")
        return buffer.getvalue()

    def part(self, part: Part) -> None:
        """What one method says."""
        self.y += GAP
        self.line(part.title, size=12)
        self.line(part.text, color=SOFT)
        if part.words:
            self.words(part)
        if part.panels:
            self.panels(part)
        self.bars(part)
        if part.attribution is not None:
            self.line(part.attribution.line(), color=SOFT)

    def line(self, text: str, *, size: float = SIZE, color: str = "black") -> None:
        """Text, in as many lines as it needs, up to three."""
        import textwrap

        width = int(LONGEST_LINE * SIZE / size)
        for one in textwrap.wrap(visible(text), width, max_lines=3, placeholder=" ...") or [""]:
            self.text(MARGIN, self.y, one, size=size, color=color)
            self.y += LINE * max(1.0, size / 10)

    def text(self, x: float, y: float, text: str, *, size: float = SIZE, color: str = "black") -> None:
        """Text whose upper left corner is here."""
        self.axes.text(x, y, visible(text), va="top", parse_math=False, size=size, color=color)

    def words(self, part: Part) -> None:
        """The text, each word on the colour of its value."""
        largest = max((abs(w.value) for w in part.words if not w.is_special), default=0.0) or 1.0
        x = MARGIN
        for word in part.words:
            width = self.width(word.text)
            x += self.width(" ") if word.before and x > MARGIN else 0.0
            if (x + width > WIDTH - MARGIN and x > MARGIN) or "\n" in word.before:
                x, self.y = MARGIN, self.y + LINE
            share = 0.0 if word.is_special else min(1.0, abs(word.value) / largest)
            self.box(x, self.y - 0.02, width, LINE - 0.06, word.value, alpha=0.75 * share)
            self.text(x, self.y + 0.02, word.text, color=SOFT if word.is_special else "black")
            x += width + 0.02
        self.y += LINE + GAP

    def width(self, text: str) -> float:
        """Of a text in inches."""
        from matplotlib.font_manager import FontProperties

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")
            measured = self.canvas.get_renderer().get_text_width_height_descent(
                visible(text), FontProperties(size=SIZE), False
            )
        return measured[0] / DPI

    def box(self, x: float, y: float, width: float, height: float, value: float, alpha: float = 1.0) -> None:
        """A rectangle in the colour of a value's sign."""
        from matplotlib.patches import Rectangle

        color = [part / 255 for part in (FOR if value > 0 else AGAINST)]
        self.axes.add_patch(Rectangle((x, y), width, height, color=color, alpha=alpha, linewidth=0))

    def panels(self, part: Part) -> None:
        """Pictures side by side."""
        for number, panel in enumerate(part.panels):
            x = MARGIN + number * (SIDE + GAP)
            height, width = panel.pixels.shape[:2]
            factor = SIDE / max(height, width)
            box = (x, x + width * factor, self.y + height * factor, self.y)
            self.axes.imshow(panel.pixels, extent=box, aspect="auto", interpolation="nearest")
            self.text(x, self.y + SIDE + 0.05, panel.caption, color=SOFT)
        self.y += SIDE + LINE

    def bars(self, part: Part) -> None:
        """The strongest values with a bar each."""
        largest = max((abs(value) for _, value in part.strongest), default=0.0) or 1.0
        for name, value in part.strongest:
            self.text(MARGIN, self.y, name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "...")
            self.box(2.4, self.y, max(0.01, 3.5 * abs(value) / largest), BAR - 0.08, value)
            self.text(6.1, self.y, f"{value:.4g}")
            self.y += BAR
        self.y += GAP if part.strongest else 0.0
