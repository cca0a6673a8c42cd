"""The page in headless Chromium: it draws, sorts, filters, and says nothing to the console or the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiexp.compare.page import render
from tests.compare.page_runs import (
    browser,
    make_comparison,
    make_records,
    needs_browser,
    open_page,
    png,
    scroll_through,
    write_run,
)

pytestmark = needs_browser
EVIL = "<img src=x onerror=alert(1)><a href='javascript:alert(2)'>x</a>%{x}</script><script>alert(3)</script>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    records = make_records(folder)
    for record in records:
        (record.path / "figures").mkdir()
        (record.path / "figures/matrix_step-00000020.png").write_bytes(png(8, 8))
    failed = write_run(folder, "zz_failed", lr=0.1, seed=0, score=float("nan"), state="failed")
    (folder / "page.html").write_text(render(make_comparison(records), [*records, failed]))
    return folder / "page.html"


def wait_for(page: Any, condition: str) -> None:
    """Waits until an expression of the page is true."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def first_cells(page: Any, column: int) -> list[str]:
    return page.eval_on_selector_all(
        "#table tbody tr:not([hidden])", "(rows, i) => rows.map((row) => row.cells[i].textContent)", column
    )


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 1300), ("light", 420)])
def test_every_chart_is_drawn_without_a_word(chromium: Any, path: Path, scheme: str, width: int) -> None:
    page, seen = open_page(chromium, path, scheme=scheme, width=width)
    scroll_through(page)
    assert seen.problems == []
    assert seen.requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.locator("#gallery img").count() == 6
    assert page.evaluate(
        "[...document.querySelectorAll('#gallery img')].every((image) => image.naturalWidth > 0)"
    )
    # Nothing but tables and charts in boxes of their own may be wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.close()


def test_sorting_by_mouse_and_by_keyboard(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    head = page.locator("#table th button", has_text="test/accuracy")
    head.click()
    assert first_cells(page, 3)[:3] == ["0.9200", "0.9100", "0.9000"]  # the best first
    assert first_cells(page, 3)[-1] == ""  # what is missing last, both ways round
    head.focus()
    page.keyboard.press("Enter")
    assert first_cells(page, 3)[:2] == ["0.8000", "0.8100"]
    assert first_cells(page, 3)[-1] == ""
    assert page.locator("th[aria-sort=ascending]").count() == 1
    assert seen.problems == []
    page.context.close()


def test_filtering_changes_table_and_charts(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    scroll_through(page)
    page.keyboard.press("/")
    page.keyboard.type("lr=1e-2 -seed=1")
    wait_for(page, "document.getElementById('shown').textContent.startsWith('2 of 7')")
    wait_for(page, "document.getElementById('scatter-chart').data?.flatMap((t) => t.x).length === 2")
    page.keyboard.press("Escape")
    wait_for(page, "document.getElementById('shown').textContent.startsWith('7 of 7')")
    assert seen.problems == []
    page.context.close()


def test_selecting_runs_shows_their_configs_side_by_side(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.locator("#table tbody tr").first.focus()
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert page.locator("#shown").text_content() == "7 of 7 runs, 2 selected"
    assert page.locator("#config-table tbody tr").all_text_contents() == ["task.optimizer.lr0.0010.01"]
    page.locator("#config-all").check()
    assert page.locator("#config-table tbody tr").count() > 5
    page.keyboard.press("Escape")
    assert page.locator("#clear").is_hidden()
    assert seen.problems == []
    page.context.close()


def test_curves_have_means_intervals_and_smoothing(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    scroll_through(page)
    traces = page.evaluate(
        "document.getElementById('panel-0').data.map((t) => ({name: t.name, y: t.y, fill: t.fill}))"
    )
    assert len(traces) == 6  # low, high and mean of two groups
    means = [t["y"][-1] for t in traces if t["name"]]
    assert means == pytest.approx([0.91, 0.81])
    # Student's interval of 0.90, 0.91, 0.92: 0.91 +- 4.3027 * 0.01 / sqrt(3)
    assert traces[0]["y"][-1] == pytest.approx(0.91 - 0.024842, abs=1e-5)
    assert traces[1]["y"][-1] == pytest.approx(0.91 + 0.024842, abs=1e-5)
    page.locator("#smoothing").fill("0.9")
    wait_for(page, "document.getElementById('panel-0').data[2].y.at(-1) < 0.8")
    page.locator("#curve-view").select_option("each")
    wait_for(page, "document.getElementById('panel-0').data.length === 3")  # and the failed run's
    assert seen.problems == []
    page.context.close()


def test_many_rows_are_drawn_as_far_down_as_somebody_looks(chromium: Any, tmp_path: Path) -> None:
    records = [
        write_run(tmp_path, f"run{i:03}", lr=0.1, seed=i, score=i / 1000, num_points=2) for i in range(250)
    ]
    (tmp_path / "page.html").write_text(render(make_comparison(records), records))
    page, seen = open_page(chromium, tmp_path / "page.html")
    cells = "document.querySelectorAll('#table tbody tr:not([hidden]) td.name').length"
    assert page.evaluate(cells) == 100
    assert page.locator("#shown").text_content() == "250 of 250 runs"
    page.locator("#table th button", has_text="test/accuracy").click()
    assert first_cells(page, 1)[0] == "run249"  # one that had not been drawn
    page.locator("#table tbody tr:not([hidden])").last.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.run") == "149"
    wait_for(page, f"{cells} >= 200")
    page.evaluate("document.getElementById('table-frame').scrollTop = 1e6")
    wait_for(page, f"{cells} === 250")
    assert page.locator("#more-rows").is_hidden()
    page.reload()
    page.wait_for_selector("#intervals, #panel-0 .main-svg", state="attached")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(cells) == 250
    assert seen.problems == []
    page.context.close()


def test_theme_help_and_sections_by_key(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.keyboard.press("?")
    assert page.locator("#shortcuts").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#shortcuts").is_hidden()
    page.keyboard.press("5")
    assert page.evaluate("document.activeElement.id") == "scatter"
    assert seen.problems == []
    page.context.close()


def test_names_cannot_run_script_or_make_links(chromium: Any, tmp_path: Path) -> None:
    records = [
        write_run(tmp_path, f"run{i}", lr=0.1 * i, seed=i, score=0.5 + i / 10, tag=EVIL + str(i), error=EVIL)
        for i in (1, 2, 3)
    ]
    for record in records:
        object.__setattr__(record, "name", EVIL + record.name)  # a folder's name cannot hold a slash
    comparison = make_comparison(records, columns=("tag", "task.optimizer.lr"))
    for group in comparison.groups:
        object.__setattr__(group, "label", EVIL + group.label)
    comparison.sentences.append(EVIL)
    comparison.notes.append(EVIL)
    page_path = tmp_path / "evil.html"
    page_path.write_text(render(comparison, records))
    page, seen = open_page(chromium, page_path)
    scroll_through(page)
    page.locator("#curve-view").select_option("each")
    page.wait_for_timeout(100)
    assert seen.problems == []
    assert seen.requests == [page_path.as_uri()]
    assert page.locator("img[src=x]").count() == 0
    links = page.eval_on_selector_all(
        "main a:not(.modebar-btn)", "(all) => all.map((a) => a.outerHTML + a.closest('.chart').id)"
    )
    assert links == []
    assert EVIL in page.locator("#sentences").text_content()
    page.context.close()
