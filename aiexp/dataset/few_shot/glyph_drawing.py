"""Draws the letters that fonts have, each several times: another font, turned, sheared, moved."""

import itertools
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.draws import uniforms
from aiexp.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# Letters: N characters, E examples of each, S side of an image in pixels.

DRAWING = 1  # raise it when the same fonts come to be drawn differently: drawn letters are kept
# Upright text fonts; the others repeat letters in the shapes of a region, a slant, or a formula.
_FONT = re.compile(
    r"Noto(Sans|Serif)(?!Tifinagh[A-Z]|Symbols|Math|\w*Slanted|\w*Unjoined)\w*-(Regular|Bold)\.ttf"
)
_SCRIPTS_OF_NONE = {"Zyyy", "Zinh", "Zzzz", "Hani"}
_LETTER = {"Lo", "Ll", "Lu"}
_MIN_LETTERS = 5  # a font with fewer letters of a script has them for quotations
_PIXELS = 72  # height of the font that is drawn first, then made smaller
_FILL = 0.72  # share of the image that a letter's longer side takes before it is distorted
_MIN_INK = 12  # brightness over 255 summed over an image: less is a blank
_SAME = 0.94  # cosine of two images from which one letter counts as drawn like another


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A letter and the fonts that have it.

    Args:
        code: Code point.
        script: ISO 15924 code of its script, such as "Thai".
        fonts: Paths, in order of their names.
    """

    code: int
    script: str
    fonts: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Such as "Thai U+0E01"."""
        return f"{self.script} U+{self.code:04X}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Distortion:
    """Ranges of the random affine map of an example; each is drawn uniformly from -x to x.

    Args:
        degrees: Rotation.
        shear: Horizontal shear, as a tangent.
        log_scale: Logarithm of the scale, of width and height each.
        shift: As a share of the side of the image, in both directions.
    """

    degrees: float
    shear: float
    log_scale: float
    shift: float

    def matrices(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """(E, 2, 3) maps of centred coordinates, as shares of the side, from (E, 6) numbers in [0, 1)."""
        angle, shear, wide, high, right, down = (2 * draws - 1).T
        angle = angle * math.radians(self.degrees)
        cos, sin, slant = np.cos(angle), np.sin(angle), shear * self.shear
        wide, high = np.exp(wide * self.log_scale), np.exp(high * self.log_scale)
        # Rotation times shear times scale.
        rows = [
            [cos * wide, (cos * slant - sin) * high, right * self.shift],
            [sin * wide, (sin * slant + cos) * high, down * self.shift],
        ]
        return np.array(rows).transpose(2, 0, 1)


def find_letters(folder: Path, max_letters: int) -> list[Letter]:
    """The letters that the fonts of a folder draw, by script and code point, the first of each script.

    Letters that decompose (with accents, presentation forms) are left out.

    Args:
        folder: With fonts.
        max_letters: Of a script, at most; some have thousands.

    Raises:
        DataError: a font is damaged, or there is none.
    """
    from fontTools import unicodedata as scripts
    from fontTools.ttLib import TTFont, TTLibError

    found: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(folder.glob("*.ttf")):
        if not _FONT.fullmatch(path.name):
            continue
        try:
            with path.open("rb") as stream:
                codes: list[int] = sorted(TTFont(stream, lazy=True).getBestCmap() or {})
        except (TTLibError, OSError, KeyError, ValueError) as error:
            raise DataError(f"not a font: {error}", where=str(path), fix=f"rm -r {folder}") from None
        of_script: dict[str, list[int]] = {}
        for code in filter(is_plain_letter, codes):
            of_script.setdefault(scripts.script(chr(code)), []).append(code)
        for script, letters in of_script.items():
            if script not in _SCRIPTS_OF_NONE and len(letters) >= _MIN_LETTERS:
                for code in letters:
                    found.setdefault((script, code), []).append(path)
    if not found:
        raise DataError("no font with letters here", where=str(folder), fix="aiexp data fetch noto_fonts")
    letters = [Letter(script=s, code=code, fonts=tuple(paths)) for (s, code), paths in sorted(found.items())]
    scripts_in_order = itertools.groupby(letters, key=lambda letter: letter.script)
    return [letter for _, of_one in scripts_in_order for letter in itertools.islice(of_one, max_letters)]


def is_plain_letter(code: int) -> bool:
    """Whether a code point is a letter that is not made of others."""
    character = chr(code)
    if unicodedata.category(character) not in _LETTER:
        return False
    return unicodedata.normalize("NFKD", character) == character


def draw_letters(
    letters: list[Letter], examples: int, image_size: int, distortion: Distortion
) -> tuple[NDArray[np.uint8], list[int]]:
    """(N, E, 1, S, S) uint8, bright on dark, and (N,) rows of those letters that fonts really draw.

    An example takes the fonts of its letter in turn; its distortion depends on the letter and its number.
    Of letters drawn alike only the first is kept.
    """
    clean = draw_clean(letters, image_size)
    blank = {row for row, image in enumerate(clean) if image.sum() < _MIN_INK * 255}
    kept = different(clean, blank)
    images = np.zeros((len(kept), examples, 1, image_size, image_size), np.uint8)
    sources = Sources()
    for place, row in enumerate(kept):
        letter = letters[row]
        draws = uniforms(6 * examples, DRAWING, letter.code).reshape(examples, 6)
        for number, matrix in enumerate(distortion.matrices(draws).tolist()):
            source = sources.glyph(letter.fonts[number % len(letter.fonts)], letter.code)
            images[place, number, 0] = placed(source, image_size, matrix)
        sources.forget_glyphs()
    return images, kept


def draw_clean(letters: list[Letter], image_size: int) -> NDArray[np.float32]:
    """(N, S, S) float32: each letter in its first font, not distorted."""
    straight, sources = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], Sources()
    images = np.zeros((len(letters), image_size, image_size), np.float32)
    for row, letter in enumerate(letters):
        images[row] = placed(sources.glyph(letter.fonts[0], letter.code), image_size, straight)
        sources.forget_glyphs()
    return images


def different(clean: NDArray[np.float32], left_out: set[int]) -> list[int]:
    """Rows of (N, S, S), ascending, none of which looks like one before it, without those left out."""
    vectors = clean.reshape(len(clean), -1)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    kept: list[int] = []
    chosen = np.zeros((0, vectors.shape[1]), np.float32)
    for start in range(0, len(vectors), 512):
        block = vectors[start : start + 512]
        like_older = (block @ chosen.T > _SAME).any(1) if len(chosen) else np.zeros(len(block), bool)
        within = block @ block.T > _SAME
        new: list[int] = []
        for row in range(len(block)):
            if start + row not in left_out and not like_older[row] and not within[row, new].any():
                new.append(row)
        kept += [start + row for row in new]
        chosen = np.concatenate([chosen, block[new]])
    return kept


class Sources:
    """Glyphs as large grey images, drawn once each."""

    def __init__(self) -> None:
        self._fonts: dict[Path, Any] = {}
        self._glyphs: dict[Path, Image] = {}

    def glyph(self, path: Path, code: int) -> "Image":
        """A letter in one font, cut to its ink; one black pixel when it has none."""
        from PIL import Image, ImageFont

        if path not in self._glyphs:
            if path not in self._fonts:
                basic = ImageFont.Layout.BASIC  # the same with and without libraqm
                self._fonts[path] = ImageFont.truetype(str(path), _PIXELS, layout_engine=basic)
            mask = self._fonts[path].getmask(chr(code), mode="L")
            size = mask.size if mask.getbbox() else (1, 1)
            image = Image.new("L", size)
            if mask.getbbox():
                image.im.paste(mask, (0, 0, *size))
                image = image.crop(image.getbbox())
            self._glyphs[path] = image
        return self._glyphs[path]

    def forget_glyphs(self) -> None:
        """Keeps the fonts, not what was drawn: the next letter follows."""
        self._glyphs.clear()


def placed(source: "Image", image_size: int, matrix: list[list[float]]) -> NDArray[np.uint8]:
    """(S, S) uint8: a glyph in the middle, its longer side `_FILL` of the image, then moved by a map."""
    from PIL import Image

    side = 2 * image_size  # twice as large, then halved: no jagged edges
    (a, b, right), (c, d, down) = matrix
    factor = max(source.size) / (_FILL * side) / (a * d - b * c)
    # Pillow asks where in the source a pixel of the result comes from: the inverse of the map.
    xx, xy, yx, yy = d * factor, -b * factor, -c * factor, a * factor
    x, y = side * (0.5 + right), side * (0.5 + down)
    start_x, start_y = source.width / 2 - xx * x - xy * y, source.height / 2 - yx * x - yy * y
    coefficients = (xx, xy, start_x, yx, yy, start_y)
    drawn = source.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(drawn.reduce(2))
