"""Rooms import only rooms above them in docs/architecture.md, whose list is the order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_FILES_IN_A_ROOM = 16
OUTSIDE = {"aiexp", "aiexp.__main__"}


def order() -> list[str]:
    """The rooms as docs/architecture.md lists them, from the ground up."""
    section = (ROOT / "docs" / "architecture.md").read_text().split("\n## ")[1]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def upward(files: dict[str, Path], rooms: list[str]) -> list[str]:
    """Imports of a room further down the list: `a.b imports c.d`."""
    level = {room: i for i, room in enumerate(rooms)}
    found: list[str] = []
    for name, path in files.items():
        here = level[name.split(".")[1]]
        for target in imported(path):
            parts = target.split(".")
            if parts[0] == "aiexp" and len(parts) > 1 and level.get(parts[1], -1) > here:
                found.append(f"{name} imports {target}")
    return found


def product_files() -> dict[str, Path]:
    """Dotted name to file, of everything in aiexp/ that lies in a room."""
    paths = sorted((ROOT / "aiexp").rglob("*.py"))
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    return {name: path for name, path in names.items() if name not in OUTSIDE}


def test_every_room_is_in_the_list_and_nothing_else_is() -> None:
    assert {name.split(".")[1] for name in product_files()} == set(order())
    assert len(order()) == len(set(order())) > 15


def test_rooms_import_only_rooms_above_them() -> None:
    assert upward(product_files(), order()) == []


def test_an_import_of_a_room_further_down_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "store.py"
    path.write_text("def f():\n    from aiexp.session import stop\n")
    assert upward({"aiexp.checkpoint.store": path}, order()) == [
        "aiexp.checkpoint.store imports aiexp.session",
        "aiexp.checkpoint.store imports aiexp.session.stop",
    ]


@pytest.mark.parametrize("folder", sorted(p.parent for p in (ROOT / "aiexp").rglob("__init__.py")))
def test_a_room_says_what_belongs_in_it_and_is_not_crowded(folder: Path) -> None:
    door = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(door) > 25, f"{folder} has no door"
    files = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
    assert len(files) <= MOST_FILES_IN_A_ROOM


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    files = product_files()
    edges = {name: {t for t in imported(path) if t in files and t != name} for name, path in files.items()}
    while leaves := [name for name, targets in edges.items() if not targets & edges.keys()]:
        for name in leaves:
            del edges[name]
    # What is left imports something that is left: a circle, or what leads to one.
    circle = {name for name in edges if any(name in edges[other] for other in edges)}
    assert circle == set()
