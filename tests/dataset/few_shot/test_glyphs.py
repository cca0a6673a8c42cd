"""Letters drawn from generated fonts: which are found, how they are drawn and kept, how scripts are split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiexp.dataset.few_shot import glyphs as module
from aiexp.dataset.few_shot.glyph_drawing import Distortion, draw_letters, find_letters
from aiexp.dataset.few_shot.glyphs import glyphs
from aiexp.errors import ConfigError, DataError
from aiexp.source.catalog import entries as catalog
from aiexp.source.catalog.entry import Entry, Tree
from tests.source.toy import sha256

STILL = Distortion(degrees=0.0, shear=0.0, log_scale=0.0, shift=0.0)
MOVING = Distortion(degrees=15.0, shear=0.2, log_scale=0.2, shift=0.06)
THAI, HEBREW, ARABIC, GREEK = 0x0E01, 0x05D0, 0x0630, 0x03B1


def make_font(path: Path, codes: list[int], thickness: int) -> None:
    """A font whose letters are bars: how many and where is the binary form of the code point."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = {code: f"u{code:04X}" for code in codes}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    drawn = {".notdef": TTGlyphPen(None).glyph()}
    for code, name in names.items():
        pen = TTGlyphPen(None)
        for bit in (b for b in range(11) if (code >> b) & 1):
            x, y = bit % 4 * 200, bit // 4 * 200
            corners = [(x, y), (x, y + thickness), (x + 180, y + thickness), (x + 180, y)]
            pen.moveTo(corners[0])
            for corner in corners[1:]:
                pen.lineTo(corner)
            pen.closePath()
        drawn[name] = pen.glyph()
    builder.setupGlyf(drawn)
    builder.setupHorizontalMetrics(dict.fromkeys(drawn, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    folder = tmp_path / "noto"
    folder.mkdir()
    thai = [THAI + i for i in range(8)]
    make_font(folder / "NotoSansThai-Regular.ttf", thai, 60)
    make_font(folder / "NotoSerifThai-Bold.ttf", [*thai, 0x41], 160)  # a Latin letter for quotations
    make_font(folder / "NotoSansThai-Italic.ttf", [THAI + 9] * 1, 60)
    make_font(folder / "NotoSansHebrew-Regular.ttf", [HEBREW + i for i in range(9)] + [0x05F2 + 0xF55B], 60)
    make_font(folder / "NotoSansArabic-Regular.ttf", [ARABIC + i for i in range(7)], 60)
    make_font(folder / "NotoSans-Regular.ttf", [GREEK + i for i in range(7)] + [0x03AC], 60)
    make_font(folder / "NotoSansSymbols-Regular.ttf", [0x0E20 + i for i in range(8)], 60)
    return folder


def test_which_letters_are_found(fonts: Path) -> None:
    letters = find_letters(fonts, 100)
    by_script: dict[str, list[int]] = {}
    for letter in letters:
        by_script.setdefault(letter.script, []).append(letter.code)
    assert list(by_script) == ["Arab", "Grek", "Hebr", "Thai"]
    assert by_script["Thai"] == [THAI + i for i in range(8)]  # no italic, no symbols
    assert 0x03AC not in by_script["Grek"], "it is made of a letter and an accent"
    thai = next(letter for letter in letters if letter.script == "Thai")
    assert [path.name for path in thai.fonts] == ["NotoSansThai-Regular.ttf", "NotoSerifThai-Bold.ttf"]
    assert thai.name == "Thai U+0E01"
    assert [letter.code for letter in find_letters(fonts, 3) if letter.script == "Thai"] == [
        THAI + i for i in range(3)
    ]


def test_how_letters_are_drawn(fonts: Path) -> None:
    letters = [letter for letter in find_letters(fonts, 100) if letter.script == "Thai"]
    still, rows = draw_letters(letters, 4, 28, STILL)
    assert still.shape == (len(rows), 4, 1, 28, 28)
    assert np.array_equal(still[:, 0], still[:, 2])  # the two fonts in turn
    assert (still[:, 1].astype(int).sum((1, 2, 3)) > 1.5 * still[:, 0].astype(int).sum((1, 2, 3))).all()
    for image in still[:, 0, 0]:
        across, down = (np.flatnonzero(image.max(axis) > 64) for axis in (0, 1))
        assert 17 <= max(np.ptp(across), np.ptp(down)) + 1 <= 22  # 0.72 of 28
        assert abs(across.mean() - 13.5) < 1.5
    moving, _ = draw_letters(letters, 4, 28, MOVING)
    assert not np.array_equal(moving[:, 0], moving[:, 2])
    again, _ = draw_letters(letters[::-1], 4, 28, MOVING)
    assert np.array_equal(moving[rows.index(0)], again[-1]), "an example depends on its letter alone"


def test_a_letter_drawn_like_another_is_left_out(fonts: Path) -> None:
    letters = [letter for letter in find_letters(fonts, 100) if letter.script == "Thai"]
    images, rows = draw_letters([*letters, letters[2]], 2, 28, STILL)
    assert rows == list(range(len(letters)))
    assert len(images) == len(letters)


@pytest.fixture
def provided(fonts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The generated fonts in the place of the fetched ones."""
    paths = sorted(fonts.iterdir())
    lines = "\n".join(f"{sha256(path.read_bytes())}  {path.name}" for path in paths)
    tree = Tree(path="noto", num_files=len(paths), sha256=sha256(lines.encode()), max_file_bytes=10**6)
    entry = Entry(name="noto_fonts", what="", licence="", sources=(), files=(), trees=(tree,))
    monkeypatch.setitem(catalog.ENTRIES, "noto_fonts", entry)
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    by_hand = tmp_path / "data" / "archives" / "noto_fonts"
    by_hand.mkdir(parents=True)
    fonts.rename(by_hand / "noto")
    return tmp_path / "data"


def make(**changes: Any) -> Any:
    settings: dict[str, Any] = {
        "ways": 3, "shots": 1, "queries": 2, "image_size": 16, "examples": 4, "max_letters": 100,
        "distortion": MOVING, "eval_fraction": 0.25, "test_fraction": 0.25, "rotations": True,
        "num_episodes": 5, "batch_size": 2, "eval_batch_size": 5, "epoch_batches": 3, "seed": 0,
    }  # fmt: skip
    return glyphs(**(settings | changes))


def test_scripts_are_split_and_drawn_once(provided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make()
    scripts = {split: set(data.characters(split).alphabets) for split in ("train", "eval", "test")}
    assert "Grek" in scripts["train"]
    assert [len(part) for part in scripts.values()] == [2, 1, 1]
    assert len(set().union(*scripts.values())) == 4
    monkeypatch.setattr(module, "draw_letters", None)
    assert make().fingerprint() == data.fingerprint()
    (kept,) = (provided / "drawn").iterdir()
    (kept / "letters.json").write_text("[]")
    monkeypatch.undo()
    monkeypatch.setenv("AIEXP_DATA_DIR", str(provided))


def test_damaged_drawings_are_drawn_again(provided: Path) -> None:
    before = make().fingerprint()
    (kept,) = (provided / "drawn").iterdir()
    (kept / "images.npy").write_bytes(b"torn")
    assert make().fingerprint() == before


def test_what_does_not_fit(provided: Path) -> None:
    for changes, where in (
        ({"ways": 40, "rotations": False}, "ways"),
        ({"shots": 3}, "shots"),
    ):
        with pytest.raises(ConfigError) as caught:
            make(**changes)
        assert caught.value.where == where


def test_fonts_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    with pytest.raises(DataError, match="noto_fonts") as caught:
        make()
    assert "\n" not in caught.value.line()


def test_a_damaged_font(fonts: Path) -> None:
    (fonts / "NotoSansLao-Regular.ttf").write_bytes(b"no font")
    with pytest.raises(DataError) as caught:
        find_letters(fonts, 5)
    assert caught.value.where.endswith("NotoSansLao-Regular.ttf")


def test_omniglot_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.dataset.few_shot.omniglot import find_folder

    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Omniglot") as caught:
        find_folder()
    assert "dataset=glyphs" in caught.value.fix


def test_omniglot_from_torchvisions_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from aiexp.dataset.few_shot.omniglot import omniglot

    random = np.random.default_rng(0)
    for part, alphabets in (("images_background", "ABC"), ("images_evaluation", "DE")):
        for alphabet in alphabets:
            for character in range(4):
                folder = (
                    tmp_path / "torchvision" / "omniglot-py" / part / alphabet / f"character{character:02d}"
                )
                folder.mkdir(parents=True)
                for example in range(5):
                    pixels = np.where(random.random((20, 20)) < 0.1, 0, 255).astype(np.uint8)
                    Image.fromarray(pixels).convert("1").save(folder / f"{example}.png")
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    data = omniglot(
        ways=4, shots=1, queries=2, image_size=10, eval_fraction=0.34, rotations=True, num_episodes=3,
        batch_size=2, eval_batch_size=3, epoch_batches=2, seed=0,
    )  # fmt: skip
    assert {s: data.characters(s).images.shape[:2] for s in ("train", "eval", "test")} == {
        "train": (8, 5), "eval": (4, 5), "test": (8, 5),
    }  # fmt: skip
    assert data.characters("test").images.mean() < 80, "ink is bright on dark"
    assert set(data.characters("test").alphabets) == {"D", "E"}
