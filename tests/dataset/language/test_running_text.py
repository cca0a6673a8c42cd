"""Text of any number of files is read, divided and cut without losing a character."""

from itertools import pairwise
from pathlib import Path

import pytest

from aiexp.dataset.language import running_text
from aiexp.dataset.language.files import parts_of, text_folder
from aiexp.dataset.language.running_text import RunningText, cut_at_lines
from aiexp.errors import ConfigError, DataError
from tests.dataset.language.text import SETTINGS, load, tokenized, verses


@pytest.fixture(autouse=True)
def _small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(running_text, "PIECE", 13)


def written(folder: Path, *texts: str, most: int | None = None) -> RunningText:
    paths = [folder / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, "utf-8")
    return RunningText(name="texts", paths=tuple(paths), encoding="utf-8", most_characters=most)


@pytest.mark.parametrize("most", [None, 0, 1, 25, 26, 27, 28, 400, 10_000])
def test_files_follow_each_other(tmp_path: Path, most: int | None) -> None:
    texts = verses(2), "", verses(9, 1)
    text = written(tmp_path, *texts, most=most)
    assert "".join(text.pieces()) == "\n".join(texts)[:most]


@pytest.mark.parametrize(("shares", "sizes"), [
    ({"eval": 0.1, "test": 0.2}, (70, 10, 20)),
    ({"eval": 0.1, "test": 0.0}, (90, 10)),
    ({"eval": 0.0, "test": 0.25}, (75, 25)),
    ({"eval": 0.0, "test": 0.0}, (100,)),
])  # fmt: skip
def test_parts_lie_side_by_side(tmp_path: Path, shares: dict[str, float], sizes: tuple[int, ...]) -> None:
    whole = verses(40)[:100]
    parts = parts_of({"train": written(tmp_path, whole)}, shares)
    assert tuple(map(len, parts.values())) == sizes
    assert "".join("".join(part.pieces()) for part in parts.values()) == whole
    assert list(parts) == ["train", *(split for split, share in shares.items() if share)]


def test_no_part_is_left_for_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave 0 of the text"):
        parts_of({"train": written(tmp_path, "some text")}, {"eval": 0.5, "test": 0.5})


def test_pieces_end_with_lines(tmp_path: Path) -> None:
    text = verses(50) + "\n\n\n  indented\n" + "x" * 900 + "\nlast"
    pieces = list(cut_at_lines(written(tmp_path, text).pieces(), 40))
    assert "".join(pieces) == text
    assert len(pieces) > 10
    cuts = [(a[-1], b[0]) for a, b in pairwise(pieces) if "xx" not in a]
    assert all(not before.isspace() and after == "\n" for before, after in cuts)
    assert max(map(len, pieces)) < 16 * 40 + 13, "the line of 900 characters is cut somewhere"


def test_files_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    for name, text in {"b/2.txt": "two", "a.txt": "one", ".x/3.txt": "hidden", "c.md": "other"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text * 20)
    names = (
        "encoding",
        "documents",
        "context",
        "vocabulary",
        "vocab_size",
        "batch_size",
        "eval_batch_size",
        "seed",
    )
    settings = {name: SETTINGS[name] for name in names}
    dataset = text_folder(folder=str(folder), eval_fraction=0.0, test_fraction=0.0, **settings)
    tokenizer = dataset.make_tokenizer()
    assert set(tokenizer.get_vocab()) == {*"onetw\n", "\ufffd"}
    assert dataset.num_examples("train") == -(-121 // 8)
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", r"no \.txt file"), ("none", "no such folder")):
        with pytest.raises(DataError, match=message):
            text_folder(folder=str(tmp_path / name), eval_fraction=0.0, test_fraction=0.0, **settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the text is empty"),
        (b"first\nsecond \xe9\n", "not utf-8-sig: byte 0xe9 in line 2"),
        (b"PK\0\0", "no text file"),
        (b"one line", "has 6 tokens, and a window takes 9"),
    ],
)
def test_what_is_no_text_to_learn_from(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        tokenized(tmp_path / "mine.txt")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "none.txt")
    with pytest.raises(DataError, match="this is a folder"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="no encoding 'utf-9'"):
        load(tmp_path / "mine.txt", "text", encoding="utf-9")


def test_another_encoding_and_other_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("\u00e9t\u00e9\r\nhiver\r".encode("latin-1") * 9)
    dataset = load(tmp_path / "old.txt", encoding="latin-1", eval_fraction=0.0, test_fraction=0.0)
    assert set(dataset.make_tokenizer().get_vocab()) == {*"\u00e9thivr\n", "e", "\ufffd"}
