"""How far a command is, on a terminal only."""

import io
import sys

import pytest

from aiexp.command.use.bar import bar
from aiexp.use.progress import unheard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_each_split_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", written)
    with bar() as progress:
        for split in ("test", "eval"):
            for count in (10, 20):
                progress(split, count, 20)
    assert "test 20/20" in written.getvalue() or "eval 20/20" in written.getvalue()


def test_one_input_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    with bar() as progress:
        progress("predicted", 1, None)
        progress("explained", 0, 1)
    assert written.getvalue() == ""


def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with bar() as progress:
        assert progress is unheard
    assert written.getvalue() == ""
