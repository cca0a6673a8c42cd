"""The README's map is the tree."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_map_names_every_file_and_folder_of_the_package() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"^      (\w+(?:\.py|/)) ", readme, re.MULTILINE))
    there = {
        p.name if p.is_file() else f"{p.name}/" for p in (ROOT / "aiexp").iterdir() if p.suffix != ".typed"
    }
    assert listed == {n for n in there if not n.startswith("__")}


def test_the_commands_of_the_readme_are_those_of_the_program() -> None:
    from aiexp.command import COMMANDS

    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `aiexp (\w+)", readme, re.MULTILINE)) == set(COMMANDS)
    assert not re.search(r"@@\w+@@|TODO", readme)
