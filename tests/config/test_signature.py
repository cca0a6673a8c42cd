"""Signatures read from source agree with what Python says after an import."""

import inspect
from pathlib import Path

import pytest

from aiexp.config.target.find import NotFoundError
from aiexp.config.target.library import LIBRARY
from aiexp.config.target.signature import read
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = make_lab(tmp_path, monkeypatch)
    monkeypatch.syspath_prepend(tmp_path)
    return lab


@pytest.mark.parametrize("name", sorted(n for n in LIBRARY if n.startswith("torch.")))
def test_torch_names_are_read_as_python_sees_them(name: str) -> None:
    import torch

    value = torch
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    expected = inspect.signature(value)
    found = read(name, skip_packages=True)
    kinds = {p.kind for p in expected.parameters.values()}
    names = [n for n, p in expected.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    assert found.parameters is not None
    assert found.is_class
    if found.accepts_any:
        assert inspect.Parameter.VAR_KEYWORD in kinds
    elif kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        assert "input_size" in found.parameters  # LSTM and such: the source has overloads, which say more
    else:
        assert list(found.parameters) == names
        required = [n for n in names if expected.parameters[n].default is inspect.Parameter.empty]
        assert [n for n, p in found.parameters.items() if p.is_required] == required


@pytest.mark.parametrize(
    ("target", "defined", "required", "optional"),
    [
        (
            "my_lab.parts.Task",
            "Task",
            ["model", "dataset", "optimizer", "dropout", "names"],
            ["extra", "layers"],
        ),
        ("my_lab.Renamed", "Model", ["width", "activation"], ["bias", "shape"]),
        ("my_lab.parts.Other", "Other", ["gamma"], []),
        ("my_lab.parts.Tracker.quiet", "Tracker.quiet", [], []),
        ("my_lab.parts.make_model", "make_model", ["width"], []),
        ("more.Alias", "Model", ["width", "activation"], ["bias", "shape"]),
        ("more.Starred", "Starred", ["a"], ["b"]),
        ("more.Guarded", "Model", ["width", "activation"], ["bias", "shape"]),
        ("more.Fields", "Fields", ["size"], ["name"]),
        ("more.inner.deep.Leaf", "Leaf", [], ["x"]),
    ],
)
def test_definitions_are_followed(
    lab: Lab, target: str, defined: str, required: list[str], optional: list[str]
) -> None:
    lab.write(
        "more/__init__.py",
        """
from dataclasses import dataclass, field
from typing import ClassVar
import my_lab.parts as parts
from .stars import *
from . import inner
Alias = parts.Model
try:
    from my_lab.parts import Model as Guarded
except ImportError:
    Guarded = None

@dataclass
class Parent:
    size: int
    count: ClassVar[int] = 0

@dataclass
class Fields(Parent):
    name: str = "x"
    made: int = field(init=False, default=1)
""",
    )
    lab.write("more/stars.py", "class Starred:\n    def __init__(self, a, *rest, b=1): ...\n")
    lab.write("more/inner/deep.py", "class Leaf:\n    def __init__(self, *, x=1): ...\n")
    found = read(target)
    assert found.name == defined
    assert found.parameters is not None
    assert [n for n, p in found.parameters.items() if p.is_required] == required
    assert [n for n, p in found.parameters.items() if not p.is_required] == optional


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Thing = make()", "made at run time"),
        ("from circle import Thing", "no definition"),
        ("def (", "cannot be read as Python"),
        ("", "no 'Thing' in"),
    ],
)
def test_what_cannot_be_read_says_why(lab: Lab, text: str, reason: str) -> None:
    lab.write("strange.py", text + "\n")
    lab.write("circle.py", "from strange import Thing\n")
    with pytest.raises(NotFoundError, match=reason):
        read("strange.Thing")


def test_a_base_that_cannot_be_read_accepts_anything(lab: Lab) -> None:
    lab.write("strange.py", "class Thing(make_base()):\n    pass\n")
    found = read("strange.Thing")
    assert found.parameters is None
    assert found.accepts_any


def test_an_edited_file_is_read_again(lab: Lab) -> None:
    lab.write("strange.py", "class Thing:\n    def __init__(self, a): ...\n")
    assert list(read("strange.Thing").parameters or {}) == ["a"]
    lab.write("strange.py", "class Thing:\n    def __init__(self, bb): ...\n")
    assert list(read("strange.Thing").parameters or {}) == ["bb"]
