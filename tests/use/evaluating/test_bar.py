"""How far an evaluation is, on a terminal only."""

import io
import sys

import pytest

from aiexp.command.use.examples_bar import examples_bar
from aiexp.use.evaluating.progress import unheard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_each_split_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", written)
    with examples_bar() as progress:
        for split in ("test", "eval"):
            for count in (10, 20):
                progress(split, count, 20)
    assert "test 20 examples" in written.getvalue() or "eval 20 examples" in written.getvalue()


def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with examples_bar() as progress:
        assert progress is unheard
    assert written.getvalue() == ""
