"""Every file of the built-in conf/: composes, points into its own room, writes out every argument."""

import re
from pathlib import Path

import pytest
import yaml

from aiexp.command.list import read_header
from aiexp.config.compose import Merged, compose
from aiexp.config.composed import Composed
from aiexp.config.folders import GROUPS, Option, builtin_dirs
from aiexp.config.target.arguments import GIVEN
from aiexp.config.target.signature import read

OPTIONS = [o for group in builtin_dirs().options().values() for o in group.values()]
MERGED: Merged = {}


def composed(option: Option) -> Composed:
    """The option composed with the defaults of everything else, what it leaves open (`???`) filled in."""
    content = yaml.safe_load(option.path.read_text(encoding="utf-8"))
    bases = [name for name in content.get("defaults", []) if isinstance(name, str) and name != "_self_"]
    files = [option.path, *(option.path.with_name(f"{name}.yaml") for name in bases)]
    filled = [f"{option.group}.{key}=x" for key, value in content.items() if value == "???"]
    # A model of images takes its sizes from the data set; the default one holds texts.
    is_for_images = option.group == "model" and any("${dataset." in file.read_text() for file in files)
    partner = ["dataset=mnist"] if is_for_images else []
    return compose([f"{option.group}={option.name}", *partner, *filled], merged=MERGED)


def test_every_file_is_an_option_of_a_known_group() -> None:
    folder = builtin_dirs().builtin
    files = [p for p in folder.glob("*/*.yaml") if p.parent.name != "hydra"]  # Hydra's own are tests/sweep's
    assert len(files) == len(OPTIONS) >= 15
    assert {o.group for o in OPTIONS} == set(GROUPS)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the checkout, so that nothing counts as the user's own code."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: f"{o.group}={o.name}")
def test_option(option: Option) -> None:
    node = composed(option).config[option.group]
    signature = read(node["_target_"])
    assert signature.module.name.split(".")[:2] == ["aiexp", option.group]
    assert signature.parameters is not None
    settable = set(signature.parameters) - GIVEN.get(option.group, frozenset())
    missing = settable - set(node)
    assert not missing, f"{option.path.name} leaves out {missing}"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: f"{o.group}={o.name}")
def test_header(option: Option) -> None:
    header = read_header(option.path)
    assert 10 < len(header[""]) <= 120


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.group == "task"], ids=lambda o: o.name)
def test_a_task_says_what_to_expect(option: Option) -> None:
    header = read_header(option.path)
    assert {"Data", "Time", "Expected", "Command"} <= set(header)
    task = composed(option).config.task
    if header["Expected"] == "not measured yet":
        assert "reference" not in task, "a target is no reference"
        return
    reference = task.reference
    assert "not measured" not in reference.source
    assert set(reference) == {"metric", "value", "tolerance", "source"}
    assert re.fullmatch(r"(test|eval|train|env)/\w+", reference.metric)
