"""A config.json from somewhere else: too large or too deep is one line, never a traceback."""

from pathlib import Path

import pytest

from aiexp.errors import DataError
from aiexp.model.text.bert_weights import MAX_CONFIG_BYTES, read_config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": "' + "x" * MAX_CONFIG_BYTES + '"}', "more than 1,000,000 bytes"),
        ("{", "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
        ("[]", "not a JSON object"),
    ],
)
def test_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_config(tmp_path)
