"""Conversations out of JSON; the other conversions are tested with their data sets."""

import json
from pathlib import Path

import pytest

from aiexp.source.convert import convert
from aiexp.source.failure import SourceFailed


def test_conversations_become_lines(tmp_path: Path) -> None:
    def talk(*turns: list[str]) -> dict[str, object]:
        return {"messages": [[{"text": text} for text in turn] for turn in turns]}

    talks = {
        "x": talk(["Hello", " how\nare you? "], ["fine"], [" "]),
        "y": talk(["write to me@home.org"]),
        "z": talk(["\u00e9t\u00e9 @ home"], ["bye"]),
    }
    (tmp_path / "dataset.json").write_text(json.dumps(talks))
    convert("conversations", ("dataset.json",), tmp_path)
    text = (tmp_path / "conversations.txt").read_text("utf-8")
    assert text == "Hello how are you?\nfine\n\n\u00e9t\u00e9 @ home\nbye\n"


def test_what_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(SourceFailed, match="cannot be converted"):
        convert("conversations", ("dataset.json",), tmp_path)
