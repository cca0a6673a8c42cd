"""The page in headless Chromium: it asks, answers, says what is wrong, and asks nobody else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiexp.runs.loaded import load_run
from aiexp.use.serving.batcher import Model
from tests.compare.page_runs import Seen, browser, needs_browser
from tests.use.serving.stubs import (
    Brightness,
    Louder,
    Noise,
    Stub,
    Supported,
    apart,
    make_model,
    png,
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


class Tab:
    """The page in a browser.

    Args:
        page: Of playwright.
        seen: What it said and asked for.
    """

    def __init__(self, page: Any, seen: Seen) -> None:
        self.page, self.seen = page, seen

    def answers(self, count: int) -> list[str]:
        self.page.wait_for_selector(f".answer >> nth={count - 1}")
        self.page.wait_for_selector("#send:enabled")
        return [one.inner_text() for one in self.page.query_selector_all(".answer")]

    def error(self) -> str:
        self.page.wait_for_selector("#error:visible")
        self.page.wait_for_selector("#send:enabled")
        return self.page.inner_text("#error")

    def files(self, selector: str, *files: tuple[str, bytes]) -> None:
        made = [{"name": n, "mimeType": "image/png", "buffer": content} for n, content in files]
        self.page.set_input_files(selector, made)


@contextmanager
def opened(chromium: Any, address: str, *, scheme: str = "light", width: int = 1000) -> Iterator[Tab]:
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    tab, seen = context.new_page(), Seen()
    tab.set_default_timeout(60_000)
    tab.on("console", lambda m: seen.problems.append(m.text) if "status of 422" not in m.text else None)
    tab.on("pageerror", lambda error: seen.problems.append(str(error)))
    tab.on("request", lambda r: seen.requests.append(r.url))
    tab.goto(address)
    tab.wait_for_selector("#send:enabled")
    yield Tab(tab, seen)
    context.close()
    assert seen.problems == []
    assert all(url.startswith((address, "data:", "blob:" + address)) for url in seen.requests)


@needs_browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1200)])
def test_a_text_is_asked_by_keyboard_alone(chromium: Any, tmp_path: Path, scheme: str, width: int) -> None:
    with (
        apart(make_model(Stub(), tmp_path, "a_run")) as address,
        opened(chromium, address, scheme=scheme, width=width) as tab,
    ):
        assert tab.page.inner_text("#about") == "toy, step 7, a_run"
        assert not tab.page.is_visible("#run")
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.type("<img src=x onerror=alert(1)>")
        tab.page.keyboard.press("Control+Enter")
        (answer,) = tab.answers(1)
        assert answer.count("<img src=x onerror=alert(1)>") == 2  # what was asked, and its label
        assert tab.page.inner_text("#state") == "1 answer"
        tab.page.fill("#input", "b\n\n a")
        tab.page.check("#lines")
        tab.page.click("#send")
        assert [re.split(r"\s+", a.strip())[0] for a in tab.answers(2)] == ["b", "a"]
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")


@needs_browser
def test_what_is_wrong_is_one_line(chromium: Any, tmp_path: Path) -> None:
    with apart(make_model(Stub(), tmp_path)) as address, opened(chromium, address) as tab:
        tab.page.click("#send")
        assert tab.error() == "type a text first"
        tab.page.route("**/predict", lambda route: route.abort())
        tab.page.fill("#input", "a")
        tab.page.click("#send")
        tab.page.wait_for_selector("#error:has-text('the server')")
        assert tab.error() == "the server does not answer: has it ended?"
        tab.page.unroute("**/predict")
        tab.page.fill("#input", "x" * 2**21)
        tab.page.click("#send")
        tab.page.wait_for_selector("#error:has-text('large')")
        assert tab.error() == "the text is too large: at most 1 MB"
        tab.seen.problems.clear()  # the request that was aborted


@needs_browser
def test_pictures_are_chosen_or_dropped_and_have_bars(chromium: Any, tmp_path: Path) -> None:
    drop = """data => {
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(data)], "dropped.png", {type: "image/png"}));
        const event = new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true});
        document.querySelector(".drop").dispatchEvent(event);
    }"""
    models = make_model(Stub(), tmp_path, "texts"), make_model(Brightness(), tmp_path, "pictures")
    with apart(*models) as address, opened(chromium, address, width=375) as tab:
        tab.page.select_option("#run", "toy-2")
        tab.files("#input", ("day.png", png(204)), ("night.png", png(0)))
        tab.page.click("#send")
        day, night = (answer.split() for answer in tab.answers(2))
        assert day == ["day.png", "bright", "bright", "80.0", "%", "dark", "20.0", "%", "Why?"]
        assert night == ["night.png", "dark", "dark", "100.0", "%", "bright", "0.0", "%", "Why?"]
        bar = tab.page.evaluate("document.querySelector('.track div').style.width")
        assert bar.startswith("80")
        tab.files("#input", ("day.png", png(204)), ("notes.png", b"no picture"))
        tab.page.click("#send")
        assert tab.error().startswith("notes.png: the picture cannot be read")
        assert not tab.page.query_selector_all(".answer")
        tab.page.evaluate(drop, list(png(255)))
        tab.page.click("#send")
        assert tab.answers(1)[0].split()[:2] == ["dropped.png", "bright"]


@needs_browser
def test_seeds_are_answered_with_pictures(chromium: Any, tmp_path: Path) -> None:
    with apart(make_model(Noise(), tmp_path)) as address, opened(chromium, address) as tab:
        tab.page.fill("#input", "40")
        tab.page.fill("#count", "3")
        tab.page.click("#send")
        assert [a.split()[:2] for a in tab.answers(3)] == [["seed", str(s)] for s in (40, 41, 42)]
        shown = "[...document.querySelectorAll('figure img')].map(i => [i.alt, i.naturalWidth])"
        assert tab.page.evaluate(shown)[2] == ["sample of seed 42", 8]
        tab.page.fill("#input", "1.5")
        tab.page.click("#send")
        assert tab.error() == "Seed: a whole number from 0 to 2147483647"


@needs_browser
def test_settings_have_fields(chromium: Any, tmp_path: Path) -> None:
    models = [make_model(Stub(make_inputs=kind), tmp_path, kind.__name__) for kind in (Louder, Supported)]
    with apart(*models) as address, opened(chromium, address) as tab:
        tab.page.fill("#input", "a")
        tab.page.select_option("#setting-mark", "?")
        tab.page.click("#send")
        assert tab.answers(1)[0].split()[:2] == ["a", "a?"]
        tab.page.select_option("#run", "toy-2")
        tab.files("#input", ("one.png", png(1)))
        tab.page.fill("#support-1", "cat")
        tab.files("#support-files-1", ("c.png", png(1)))
        tab.page.click("#send")
        assert tab.error() == "choose a picture first"
        tab.files("#support-files-2", ("d.png", png(1)), ("e.png", png(1)))
        tab.page.click("#send")
        assert tab.answers(1)[0].split() == ["one.png", "cat,class", "2", "tag", "first", "probability", "1"]


@needs_browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1200)])
def test_why_a_text_is_answered_so_is_asked_by_keyboard(
    chromium: Any, texts: Path, scheme: str, width: int
) -> None:
    run = load_run(texts)
    expanded = "document.activeElement.getAttribute('aria-expanded')"
    with (
        apart(Model(run, run.task.inputs())) as address,
        opened(chromium, address, scheme=scheme, width=width) as tab,
    ):
        tab.page.fill("#input", "great <b>film</b>")
        tab.page.press("#input", "Control+Enter")
        tab.answers(1)
        tab.page.focus(".more button")
        assert tab.page.evaluate(expanded) == "false"
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector(".reasons section >> nth=1")
        assert tab.page.evaluate(expanded) == "true"  # and it has the focus still
        assert [h.inner_text() for h in tab.page.query_selector_all("h3")] == [
            "Integrated gradients", "Attention",
        ]  # fmt: skip
        assert tab.page.inner_text(".words") == "great <b>film</b>"
        largest = tab.page.evaluate("document.querySelector('.reasons .track div').style.width")
        assert largest == "100%"
        colored = "[...document.querySelectorAll('.words span')].filter(s => s.style.background).length"
        assert tab.page.evaluate(colored) > 1
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.page.keyboard.press("Space")
        assert not tab.page.is_visible(".reasons")


@needs_browser
def test_why_a_picture_is_answered_so_and_why_not(chromium: Any, tmp_path: Path) -> None:
    models = make_model(Brightness(), tmp_path, "pictures"), make_model(Noise(), tmp_path, "seeds")
    with apart(*models) as address, opened(chromium, address, width=360) as tab:
        tab.files("#input", ("day.png", png(204)))
        tab.page.click("#send")
        tab.answers(1)
        tab.page.route("**/explain", lambda route: route.abort())
        tab.page.click(".more button")
        tab.page.wait_for_selector(".more .wrong")
        assert tab.page.inner_text(".more .wrong") == "the server does not answer: has it ended?"
        tab.seen.problems.clear()  # the request that was aborted
        tab.page.unroute("**/explain")
        tab.page.click(".more button")
        tab.page.wait_for_selector(".reasons figure >> nth=3")
        drawn = "[...document.querySelectorAll('.reasons img')].map(i => i.complete && i.naturalWidth > 0)"
        assert tab.page.evaluate(drawn) == [True] * 4
        assert tab.page.inner_text(".reasons").startswith("Explained: bright")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
        tab.page.select_option("#run", "toy-2")
        tab.page.click("#send")
        tab.answers(1)
        assert not tab.page.query_selector(".more button")


@needs_browser
def test_every_field_has_a_name_for_those_who_do_not_see_it(chromium: Any, tmp_path: Path) -> None:
    models = [make_model(task, tmp_path, str(i)) for i, task in enumerate([Stub(), Brightness(), Noise()])]
    unnamed = """() => [...document.querySelectorAll("input, select, textarea")]
        .filter(one => one.checkVisibility() && !one.labels.length).map(one => one.id)"""
    with apart(*models) as address, opened(chromium, address) as tab:
        for name in ("toy", "toy-2", "toy-3"):
            tab.page.select_option("#run", name)
            assert tab.page.evaluate(unnamed) == []
