"""The pages of the documentation as tests read them: console blocks, files shown, links."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
_MARK = re.compile(r"^<!-- (not run|fails|expect|slow): (.+) -->$")

if str(ROOT / "scripts") not in sys.path:
    sys.path.insert(0, str(ROOT / "scripts"))


@dataclass(frozen=True)
class Command:
    """A command of a console block, as it is typed.

    Args:
        page: The file.
        line: Its number.
        text: As typed.
        not_run: Why no test can try it; empty where one does.
        fails: How it ends where it is to fail; empty else.
        slow: Why only the long tests run it; empty else.
    """

    page: Path
    line: int
    text: str
    not_run: str = ""
    fails: str = ""
    slow: str = ""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def page_files() -> list[Path]:
    """The pages that people write."""
    return sorted(DOCS.rglob("*.md"))


@cache
def commands(page: Path) -> list[Command]:
    """Every command of the console blocks of a page."""
    found: list[Command] = []
    marks: dict[str, str] = {}
    inside = ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        mark, fence = _MARK.match(line), re.match(r"^```(\w*)", line)
        if mark and not inside:
            marks[mark[1]] = mark[2]
        elif fence:
            inside = "" if inside else fence[1] or "text"
            marks = marks if inside else {}
        elif inside == "console" and line.startswith("$ "):
            given = (marks.get(mark, "") for mark in ("not run", "fails", "slow"))
            found.append(Command(page, number, line[2:], *given))
    return found


def expectations(page: Path) -> list[tuple[str, float]]:
    """Metric and least value that a tutorial says it comes to: `<!-- expect: test/r2 >= 0.4 -->`."""
    marks = [mark[2] for line in page.read_text("utf-8").splitlines() if (mark := _MARK.match(line))]
    pairs = (re.fullmatch(r"(\S+) >= (\S+)", text) for text in marks)
    return [(pair[1], float(pair[2])) for pair in pairs if pair]


def shown_files(page: Path) -> Iterator[tuple[str, str]]:
    """Name and content of the files that a tutorial shows: blocks with `title="conf/task/mine.yaml"`."""
    text = page.read_text("utf-8")
    for block in re.finditer(r'^``` ?\w+ title="([^"]+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
        yield block[1], block[2]
