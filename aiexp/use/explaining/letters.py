"""Letters of any script, each in a font that has it: matplotlib's own, or one of this machine."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, chop_cells

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# Beginnings of names of files, without signs between the words; what is drawn like the rest comes first.
FAMILIES = (
    "dejavusans", "notosanscjk", "sourcehansans", "notosans", "notoemoji", "wqymicrohei", "wqyzenhei",
    "ipag", "takaogothic", "nanumgothic", "droidsansfallback", "symbola", "unifont",
)  # fmt: skip
OTHER_STYLES = ("bold", "black", "light", "thin", "italic", "oblique", "condensed", "mono")
RIGHT_TO_LEFT = ("R", "AL")  # classes of letters


def runs(text: str) -> list[tuple[Path, str]]:
    """A text in pieces of one font each; letters that no font has are in matplotlib's, which draws boxes."""
    path = own_font()
    marked: list[tuple[Path, str]] = []
    for letter in text:
        if not is_attached(letter):
            path = path_of(letter) or own_font()
        marked.append((path, letter))
    return [(path, "".join(a for _, a in group)) for path, group in groupby(marked, key=lambda pair: pair[0])]


def lacking(text: str) -> str:
    """The letters that no font here has, each once."""
    return "".join(dict.fromkeys(a for a in text if not is_attached(a) and path_of(a) is None))


def length(text: str, size: int) -> float:
    """Pixels that a text takes."""
    return sum(font(path, size).getlength(part) for path, part in runs(text))


def is_right_to_left(text: str) -> bool:
    """Whether the first letter that is written in a direction goes to the left."""
    classes = (unicodedata.bidirectional(letter) for letter in text)
    return next((found for found in classes if found in ("L", *RIGHT_TO_LEFT)), "L") in RIGHT_TO_LEFT


def wrapped(text: str, cells: int, most: int) -> list[str]:
    """At most so many lines of so many cells, of which a Chinese letter takes two."""
    lines = [""]
    for word in text.split():
        for part in chop_cells(word, cells):
            longer = f"{lines[-1]} {part}".lstrip()
            if cell_len(longer) <= cells:
                lines[-1] = longer
            else:
                lines.append(part)
    if len(lines) <= most:
        return lines if text.strip() else []
    return [*lines[: most - 1], f"{chop_cells(lines[most - 1], cells - 4)[0]} ..."]


def shortened(text: str, cells: int) -> str:
    """A text of at most so many cells."""
    return text if cell_len(text) <= cells else f"{chop_cells(text, cells - 3)[0]}..."


def is_attached(letter: str) -> bool:
    """Whether a letter belongs to the one before it (an accent, a joiner), or is nothing but space."""
    return unicodedata.category(letter) in ("Mn", "Me", "Mc", "Cf", "Zs")


@cache
def path_of(letter: str) -> Path | None:
    """The file of a font that draws a letter; None: there is none here."""
    return next(
        (path for path in fonts() if ord(letter) in letters_of(path) and draws(path, letter)),
        None,
    )


def fonts() -> Iterator[Path]:
    """Files of fonts, the best first; those of the machine are looked for only if another one is wanted."""
    yield own_font()
    yield from machine_fonts()


@cache
def own_font() -> Path:
    """That of matplotlib, which has more scripts than Pillow's."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def machine_fonts() -> list[Path]:
    """Those that matplotlib finds in the folders of the system and by fontconfig, the best first.

    Not from matplotlib's list, which it keeps in a cache: that does not know what was installed since.
    """
    from matplotlib.font_manager import findSystemFonts

    return sorted(map(Path, findSystemFonts()), key=rank)


def rank(path: Path) -> tuple[int, bool, str]:
    """The place of a font among others."""
    name = "".join(c for c in path.stem.lower() if c.isalnum())
    family = next((i for i, start in enumerate(FAMILIES) if name.startswith(start)), len(FAMILIES))
    return family, any(style in name for style in OTHER_STYLES), name


@cache
def letters_of(path: Path) -> frozenset[int]:
    """The letters that a font has, as numbers; none of a file that cannot be drawn with."""
    from matplotlib.ft2font import FT2Font

    try:
        made: Any = FT2Font(str(path))
        return frozenset(made.get_charmap())
    except (OSError, RuntimeError):  # such as emoji in pixels of one size
        return frozenset()


def draws(path: Path, letter: str) -> bool:
    """Whether anything is to be seen: of letters that have colours alone there is not."""
    try:
        return font(path, 16).getmask(letter).getbbox() is not None
    except OSError:
        return False


@cache
def font(path: Path, size: int) -> "FreeTypeFont":
    """A font in a size."""
    from PIL import ImageFont

    return ImageFont.truetype(path, size)
