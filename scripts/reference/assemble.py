"""Puts the pages of the site together: those of docs/, some of the root, and the generated ones."""

import os
import re
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

from reference import commands, environment, error_pages, groups, metrics, notebook, python_api, raised

ROOT_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
UNSEARCHED = ("decisions.md", "changelog.md")  # they would stand before what people look for
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"^ *(```|~~~)")


def assemble(root: Path, folder: Path) -> None:
    """Writes every page, and the pictures and styles beside them, into a folder that is emptied before.

    Args:
        root: Of the checkout.
        folder: Where the site is built from.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in pages(root):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copytree(root / "docs/theme/files", folder, dirs_exist_ok=True)
    for path in (root / "docs").rglob("*"):
        if path.suffix in (".svg", ".png"):
            target = folder / path.relative_to(root / "docs")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every page."""
    placed = written(root)
    for source, name in placed.items():
        text = (root / source).read_text("utf-8")
        text = notebook.page(text) if source.endswith(".ipynb") else text
        if name in UNSEARCHED:
            text = f"---\nsearch:\n  exclude: true\n---\n\n{text}"
        yield name, relinked(text, source, placed)
    yield from reference(root)


def written(root: Path) -> dict[str, str]:
    """The pages that people write: path in the checkout to name in the site."""
    found = dict(ROOT_PAGES)
    for path in sorted((root / "docs").rglob("*")):
        name = path.relative_to(root / "docs").as_posix()
        if path.name == "README.md":
            found[f"docs/{name}"] = f"{PurePosixPath(name).parent}.md"
        elif path.suffix in (".md", ".ipynb"):
            found[f"docs/{name}"] = str(PurePosixPath(name).with_suffix(".md"))
    return found


def reference(root: Path) -> Iterator[tuple[str, str]]:
    """The pages that are made from the source."""
    package = root / "aiexp"
    yield "reference/commands.md", commands.page()
    yield "reference/environment.md", environment.page(package)
    yield "reference/metrics.md", metrics.page(package)
    yield "reference/python.md", python_api.page(package)
    for name, text in [*groups.pages(), *error_pages.pages(raised.read_all(package))]:
        yield f"reference/{name}", text


def relinked(text: str, source: str, placed: dict[str, str]) -> str:
    """A page whose links to files of the checkout lead to their pages; what has none is left as text.

    Args:
        text: Of the page.
        source: Its path in the checkout.
        placed: As `written` returns it.
    """
    here = PurePosixPath(source).parent

    def link(found: re.Match[str]) -> str:
        target = os.path.normpath(here / found["path"])
        if target.startswith("docs/reference/"):  # made, in no checkout
            name = target.removeprefix("docs/")
        elif target in placed:
            name = placed[target]
        elif target.startswith("docs/"):
            name = target.removeprefix("docs/")
        else:
            return found["text"].strip("![]")
        path = os.path.relpath(name, PurePosixPath(placed[source]).parent)
        return f"{found['text']}({path}{found['anchor'] or ''})"

    chunks = groupby(lines_of(text), key=lambda each: each[1])
    texts = ((is_code, "\n".join(line for line, _ in lines)) for is_code, lines in chunks)
    return "\n".join(text if is_code else _LINK.sub(link, text) for is_code, text in texts) + "\n"


def lines_of(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is in a fenced block."""
    is_code = False
    for line in text.splitlines():
        is_fence = bool(_FENCE.match(line))
        yield line, is_code or is_fence
        is_code ^= is_fence
