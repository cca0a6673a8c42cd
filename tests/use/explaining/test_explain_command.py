"""`aiexp explain` on many inputs: bad ones, an interruption, a bar, letters that no font has."""

import io
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.use.explaining import explain, letters

Printed = pytest.CaptureFixture[str]
METHOD = "--method=saliency"  # the fastest


@pytest.fixture
def photos(pictures: Path, tmp_path: Path) -> Path:
    """Three pictures of which the second is torn."""
    drawn = sorted((pictures.parents[2] / "pictures" / "down").iterdir())
    (tmp_path / "photos").mkdir()
    for name, path in zip(("a.png", "c.png"), drawn, strict=False):
        shutil.copy(path, tmp_path / "photos" / name)
    (tmp_path / "photos" / "b.png").write_bytes(b"nothing")
    return tmp_path / "photos"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_inputs_that_cannot_be_read_end_it_or_are_named_and_counted(
    pictures: Path, photos: Path, tmp_path: Path, capsys: Printed
) -> None:
    words = ["explain", str(pictures), str(photos), METHOD, f"--out={tmp_path}/why"]
    assert cli.main(words) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "b.png" in line
    assert "cannot be read" in line
    assert names(tmp_path / "why") == ["a.png"]
    assert cli.main([*words, "--skip-bad"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert "skipped   " + str(photos / "b.png") in printed.err
    assert "skipped   1 of 3 inputs" in printed.err
    assert names(tmp_path / "why") == ["a.png", "c.png"]
    assert cli.main(["explain", str(pictures), str(photos / "b.png"), "--skip-bad"]) == 3
    assert "no input that could be read" in capsys.readouterr().err


def test_a_bad_input_without_advice_of_its_own_is_said_to_be_skippable(texts: Path, capsys: Printed) -> None:
    assert cli.main(["explain", str(texts), " "]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "the text is empty" in line
    assert "--skip-bad" in line


def test_interrupted_it_keeps_what_is_finished(
    pictures: Path, photos: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    write_json = explain.write_json

    def interrupted(path: Path, values: Any) -> None:
        written.append(path)
        if len(written) == 2:  # in the middle of the second one
            signal.raise_signal(signal.SIGINT)
        write_json(path, values)

    monkeypatch.setattr(explain, "write_json", interrupted)
    words = ["explain", str(pictures), str(photos), METHOD, "--skip-bad", f"--out={tmp_path}/why"]
    assert cli.main(words) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == [f"aiexp: stopped   1 explained, in {tmp_path}/why", "aiexp: interrupted"]
    assert names(tmp_path / "why") == ["a.png"]  # and nothing half
    assert len(names(tmp_path / "why" / "a.png")) == 3


class Terminal(io.StringIO):
    """Where a bar can be redrawn."""

    def isatty(self) -> bool:
        return True


def test_a_bar_counts_them_on_a_terminal_only(
    pictures: Path, photos: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    words = ["explain", str(pictures), str(photos), METHOD, "--skip-bad", f"--out={tmp_path}/why"]
    assert cli.main(words) == 0
    assert "explained" not in capsys.readouterr().err
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    assert cli.main(words) == 0
    assert "explained 2/3" in shown.getvalue()
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("/")[2] for line in lines] == ["a.png", "c.png"]
    assert not any("\x1b" in line for line in lines)
    one = Terminal()
    monkeypatch.setattr(sys, "stderr", one)
    assert cli.main(["explain", str(pictures), str(photos / "a.png"), METHOD, f"--out={tmp_path}/why"]) == 0
    assert one.getvalue() == ""


def test_letters_that_no_font_has_are_said_once(
    texts: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "path_of", lambda letter: letters.own_font() if letter.isascii() else None)
    words = ["film \u65e5", "fine \u65e5\u672c", "--method=integrated_gradients", f"--out={tmp_path}/why"]
    assert cli.main(["explain", str(texts), *words]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("aiexp: boxes     no font here has \u65e5: explanation.png shows boxes")
    (page,) = (tmp_path / "why").glob("fine*/explanation.html")
    assert "\u65e5\u672c" in page.read_text(encoding="utf-8")
