"""A config comes back from a run directory as it went in: order, types, numbers, text like them."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.validate import validate
from aiexp.rundir.assigned import assigned
from aiexp.rundir.changes import check_changes
from aiexp.rundir.directory import RunDirectory
from aiexp.text.secrets import redact
from tests.lab import Lab, make_lab

TEXTS = (
    "", "1", "1e-4", "0x1F", "1_000", "12:30", "2026-01-31", "yes", "No", "null", "~", ".inf", "=", "<<",
    "- a",
    "#x", "a: b", " b ", "a\nb\n", "\t", "é", "🙂", "\u2028", "\x07", "\x85",
    "a\x85b", "${x}", "\\${x}", "\\\\${a.b}", "$",
    "{", "'", '"', "%d", "!!python/name:os.system", "&a", "*a", "a,b", "true", "1.", "0o17", "\\",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    10**30,
    0.0,
    -0.0,
    1e-5,
    1e22,
    0.1,
    1.0,
    math.inf,
    -math.inf,
    math.nan,
    True,
    False,
    None,
)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def any_value(source: random.Random, depth: int) -> Any:
    kind = source.random()
    if depth and kind < 0.35:
        return {any_key(source): any_value(source, depth - 1) for _ in range(source.randrange(5))}
    if depth and kind < 0.5:
        return [any_value(source, depth - 1) for _ in range(source.randrange(4))]
    return source.choice(TEXTS) if kind < 0.8 else source.choice(NUMBERS)


def any_key(source: random.Random) -> Any:
    return source.choice((*"zyxwvu", "a b", "10", "true", 10, 3, 1.5, "second", "first", "lr"))


def exactly(value: Any) -> Any:
    """Something that is equal for configs of the same order, keys, types and values only."""
    if isinstance(value, dict):
        return [(repr(key), exactly(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return ["list", *map(exactly, value)]
    return f"{type(value).__name__} {value!r}"


def test_any_config_survives_a_run_directory(lab: Lab) -> None:
    base: Any = OmegaConf.to_container(compose([]).config, resolve=True)
    directory = RunDirectory.create(lab.root / "outputs", "")
    for number in range(25):
        source = random.Random(number)
        config = {**base, "anything": {any_key(source): any_value(source, 3) for _ in range(6)}}
        directory.write_config(redact(config), {}, [])
        old = validate(directory.read_config())
        again = assigned(old, [], "aiexp resume")
        assert exactly(again) == exactly(config), f"number {number}"
        assert check_changes(old, redact(again)) == []


def test_an_override_finds_its_key_and_changes_nothing_else() -> None:
    config = {"b": {10: {"x": 1, "w.v": 2}, "10.x": 3}, "a": {"z": 1, "y": "1e-4"}}
    changed = assigned(config, ["b.10.w.v=1e-4", "a.z='1e-4'"], "aiexp resume")
    expected = {"b": {10: {"x": 1, "w.v": 1e-4}, "10.x": 3}, "a": {"z": "1e-4", "y": "1e-4"}}
    assert exactly(changed) == exactly(expected)
    assert config["a"] == {"z": 1, "y": "1e-4"}
