"""Figures in one style, as the bytes of a PNG and of a PDF."""

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("paper.mplstyle")
COLUMN, PAGE = 3.4, 7.0  # inches: the width of a column and of a page of most papers


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as files.

    Args:
        png: For the screen.
        pdf: The same for a paper, lines and letters as such.
    """

    png: bytes
    pdf: bytes


@contextmanager
def styled() -> Generator[None]:
    """A body in which matplotlib draws in our style; whatever was set before holds again afterwards."""
    import matplotlib

    with matplotlib.rc_context(fname=str(STYLE)):
        yield


@contextmanager
def drawing(width: float, height: float) -> Generator["Figure"]:
    """A new figure of so many inches, to be drawn on and `saved` in the body.

    It is none of pyplot's, which would keep it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def saved(figure: "Figure") -> Drawn:
    """The files of a figure, the same bytes for the same figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    png, pdf = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of any script: boxes stand for it
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        # Not `savefig`, which draws everything twice, and would lay it out for each file.
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None, "Producer": None})
    return Drawn(png.getvalue(), pdf.getvalue())
