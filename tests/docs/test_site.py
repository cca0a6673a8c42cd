"""The site builds, is whole, and asks nothing of another host."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.compare.page_runs import CHROMIUM, needs_browser
from tests.docs.pages import ROOT

from reference.assemble import assemble, relinked  # isort: skip

ELSEWHERE = re.compile(r"^(https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `scripts/docs` builds it, in a folder of its own."""
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("site")
    assemble(ROOT, folder / "build/pages")
    (folder / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text("utf-8"), "utf-8")
    (folder / "docs").symlink_to(ROOT / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.policy = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given["href"])
        elif tag in ("script", "img", "iframe", "source", "video", "audio") and "src" in given:
            self.loaded.append(given["src"])
        elif given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 45
    assert [
        (path.name, url) for path, page in pages.items() for url in page.loaded if ELSEWHERE.match(url)
    ] == []
    assert [
        path.name for path, page in pages.items() if not page.policy.startswith("default-src 'self'")
    ] == []
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*|@import[^;]*", styles) == []


def test_every_link_leads_to_a_place(pages: dict[Path, Page]) -> None:
    dead: list[str] = []
    for path, page in pages.items():
        for link in page.links:
            if ELSEWHERE.match(link) or link.startswith("mailto:"):
                continue
            name, _, place = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            there = pages.get(target)
            if there is None and target.is_dir():
                there = pages.get(target / "index.html")
            if there is None or (place and place not in there.ids and not place.startswith("__")):
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_the_search_finds_keys_errors_and_commands(site: Path) -> None:
    index = json.loads((site / "search.json").read_text("utf-8"))
    text = json.dumps(index)
    for word in (
        "trainer.checkpoint.asynchronous",
        "checkpoint file is damaged",
        "AIEXP_DATA_DIR",
        "Reptile",
    ):
        assert word in text, word
    assert (site / "search.js").is_file()  # for pages opened from the disk


def test_links_follow_their_files() -> None:
    placed = {"docs/guide/a.md": "guide/a.md", "SECURITY.md": "security.md", "docs/b/README.md": "b.md"}
    text = "[s](../../SECURITY.md#x) [b](../b/README.md) ![p](../p.svg) [c](../../aiexp/run.py) "
    text += "[r](../reference/e.md)"
    expected = "[s](../security.md#x) [b](../b.md) ![p](../p.svg) c [r](../reference/e.md)\n"
    assert relinked(text, "docs/guide/a.md", placed) == expected
    assert relinked(f"```\n{text}\n```", "docs/guide/a.md", placed) == f"```\n{text}\n```\n"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@needs_browser
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_pages_from_the_disk_are_whole_and_the_search_works(chromium: Any, site: Path, scheme: str) -> None:
    asked: list[str] = []
    said: list[str] = []
    for width in (1400, 420):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        for name in ("index", "start", "concepts", "reference/config/trainer", "reference/errors/data"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("asynchronous")
        page.get_by_text("asynchronous").first.wait_for(timeout=10_000)
        context.close()
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert said == []
