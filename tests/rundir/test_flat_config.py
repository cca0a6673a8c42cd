"""The fast reading of a config gives what YAML gives."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp.rundir import flat_config
from aiexp.rundir.changes import flatten
from aiexp.rundir.flat_config import read_flat_config

TRICKY: dict[str, Any] = {
    "seed": 3,
    "empty": {},
    "none": None,
    "list": [],
    "text": "a: b # no comment",
    "long": "word " * 60,
    "lines": "first\nsecond\n",
    "quoted": "yes",
    "number_like": "1e-4",
    "number": 1e-5,
    "nested": {"a": {"b.c": 1, "d": [1, [2, 3], {"e": "f: g", "h": None}]}, "z": "- no item"},
    "after": {"list": ["a", "b"], "long": "x" * 300, "unicode": "é"},
    "last": True,
}


@pytest.mark.parametrize("unicode", [True, False])
def test_equal_to_yaml_on_hard_values(unicode: bool) -> None:
    text = yaml.safe_dump(TRICKY, sort_keys=False, allow_unicode=unicode)
    assert read_flat_config(text) == flatten(TRICKY)
    assert list(read_flat_config(text)) == list(flatten(TRICKY))


def test_equal_to_yaml_on_every_builtin_file_without_reading_it_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole: list[str] = []
    monkeypatch.setattr(flat_config, "_parse_whole", lambda text: whole.append(text) or {})
    files = sorted((Path(__file__).parents[2] / "conf").rglob("*.yaml"))
    assert len(files) > 40
    for path in files:
        config = yaml.safe_load(path.read_text())
        assert read_flat_config(yaml.safe_dump(config, sort_keys=False)) == flatten(config), path
    assert whole == []


@pytest.mark.parametrize(
    "text", ["a: {b: 1, c: [2]}\nd: 'x\n  y'\n", "? a\n: 1\n'b c': 2\n", "# note\na: 1 # x\n"]
)
def test_what_we_do_not_write_is_read_too(text: str) -> None:
    assert read_flat_config(text) == flatten(yaml.safe_load(text))


@pytest.mark.parametrize("text", ["a: [1\n", "- a\n- b\n", "just text", "a: b: c\n", "\x00"])
def test_what_is_no_mapping_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_flat_config(text)
