"""What the documents name in backticks exists: files, modules and members of classes."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "docs").rglob("*.md"))),
]
# What the user writes, and what does not exist on purpose.
EXAMPLES = {"conf/config.yaml", "utils.py"}
MINE = re.compile(r"\b(test_)?mine\.(py|yaml)$")
FOLDERS = {p.name for p in (*ROOT.iterdir(), *(ROOT / "aiexp").iterdir()) if p.is_dir()} - {"outputs"}


def quoted(text: str) -> Iterator[str]:
    """The words in backticks, without the fences of blocks."""
    for code in re.findall(r"`([^`\n]+)`", text):
        yield from (word.rstrip(":,") for word in code.split())


def is_path(word: str) -> bool:
    """Whether a word names a file or folder of this project, as `checkpoint/store.py` or `run.py` do."""
    first, slash, _ = word.partition("/")
    return bool(re.fullmatch(r"[\w./<>-]+", word)) and (first in FOLDERS if slash else word.endswith(".py"))


def exists(path: str) -> bool:
    """Whether it is there, from the root or aiexp/ on, a bare name anywhere; `<name>` is any name."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    below = "aiexp" if "/" in path else "aiexp/**"
    return any(True for p in (pattern, f"{below}/{pattern}") for _ in ROOT.glob(p))


def exists_in_module(name: str) -> bool:
    """Whether `aiexp.room.module`, or a name that the module defines, exists."""
    path = name.replace(".", "/")
    if exists(path) or exists(f"{path}.py"):
        return True
    module, _, member = name.rpartition(".")
    file = ROOT / ("aiexp/python.py" if module == "aiexp" else f"{module.replace('.', '/')}.py")
    return file.is_file() and bool(re.search(rf"^(class|def) {member}\b|^{member}\b", file.read_text(), re.M))


@cache
def members() -> dict[str, str]:
    """The source of every class of the package by its name; of namesakes that of all."""
    found: dict[str, str] = {}
    for path in (ROOT / "aiexp").rglob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = "\n".join(
                    [found.get(node.name, ""), *lines[node.lineno : node.end_lineno]]
                )
    return found


def missing(text: str) -> list[str]:
    """What a document names and is not there."""
    found: list[str] = []
    for word in quoted(text):
        owner, _, member = word.partition(".")
        if word in EXAMPLES or MINE.search(word):
            continue
        if is_path(word):
            found += [] if exists(word) else [word]
        elif word.startswith("aiexp."):
            found += [] if exists_in_module(word) else [word]
        elif owner in members() and member.isidentifier():
            found += [] if re.search(rf"\b{member}\b", members()[owner]) else [word]
    for name, path in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", text):
        modules = [p[:-3].replace("/", ".") for p in (path, f"aiexp/{path}") if (ROOT / p).is_file()]
        found += [] if any(exists_in_module(f"{module}.{name}") for module in modules) else [name]
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_exists(document: str) -> None:
    assert missing((ROOT / document).read_text("utf-8")) == []


def test_what_does_not_exist_is_seen() -> None:
    there = [
        "aiexp/run.py",
        "checkpoint/store.py",
        "cma_state.py",
        "aiexp/task/<field>/<name>.py",
        "scripts/test -m",
    ]
    there += [
        "aiexp.task.base",
        "aiexp.task.base.Task",
        "Hardware.start",
        "conf/task/mine.yaml",
        "train/loss",
    ]
    gone = [
        "aiexp/trainer.py",
        "checkpoint/stores.py",
        "cma.py",
        "aiexp/task/<field>/<name>.txt",
        "scripts/tests -m",
    ]
    gone += ["aiexp.task.bases", "aiexp.task.base.Tasks", "Hardware.begin", "conf/task/yours.yaml"]
    assert missing(" ".join(f"`{word}`" for word in there + gone)) == [word.split()[0] for word in gone]
    assert missing("`Task` in\n`aiexp/task/base.py`, `Tasks` in\n`aiexp/task/base.py`") == ["Tasks"]


def test_decisions_have_a_heading_a_subject_and_the_newest_first() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(headings) == len(set(headings)) > 10
    assert text.count("| package | why | import |") == 1
    for heading, section in zip(headings, text.split("\n## ")[1:], strict=True):
        dates = [re.findall(r"\((2\d{3}-\d\d-\d\d)", part) for part in section.split("\n\n")[1:]]
        first = [date[0] if date else "2026-11-22" for date in dates]  # as the document says
        assert first == sorted(first, reverse=True), heading
