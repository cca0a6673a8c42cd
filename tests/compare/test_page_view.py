"""What can be asked of the page in Chromium: filters, groups, panels, axes, views, pictures, a run, paper."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiexp.compare.page import render
from aiexp.rundir.notes import Notes, write_notes
from aiexp.rundir.record import read_record
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
from tests.compare.test_page_browser import wait_for

pytestmark = needs_browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    records = make_records(folder)
    for i, record in enumerate(records):
        (record.path / "figures").mkdir()
        for step in (10, 20):
            (record.path / f"figures/matrix_step-{step:08d}.png").write_bytes(png(8, 8 + step))
        (record.path / "figures/classes_step-00000020.csv").write_text("class,f1\ncat,0.5\ndog,0.125\n")
        (record.path / "run.log").write_text("the last words\n")
        lines = [json.loads(line) for line in (record.path / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            line |= {
                "time/step_seconds": 0.5,
                "time/examples_per_second": 64,
                "train/epoch": line["step"] / 10,
            }
        (record.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if i < 2:
            write_notes(record.path, Notes(title=f"The {i}", tags=("base",), note="good", hidden=i == 1))
    failed = write_run(folder, "zz_failed", lr=0.1, seed=0, score=float("nan"), state="failed")
    records = [read_record(record.path) for record in records]
    (folder / "page.html").write_text(render(make_comparison(records), [*records, failed]))
    return folder / "page.html"


@pytest.fixture(scope="module")
def shared(chromium: Any, path: Path) -> Iterator[Any]:
    """One page for all filters, which leave nothing behind."""
    page, seen = open_page(chromium, path)
    yield page
    assert seen.problems == []
    page.context.close()


def visible(page: Any, filter_: str) -> tuple[str, str]:
    """How many runs a filter leaves, and what is said of it."""
    page.evaluate("text => applyFilter(text)", filter_)
    return page.evaluate(
        "[String(state.isVisible.filter(Boolean).length), byId('filter-message').textContent]"
    )


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ("", 6, ""),
        ("test/accuracy>0.9", 1, ""),  # 0.91 is hidden
        ("accuracy>=0.9", 2, "accuracy>=0.9: test/accuracy"),
        ("accuracy<0.815 seed!=0", 1, "accuracy<0.815: test/accuracy"),
        ("lr=1e-2,0.1", 4, ""),
        ("lr<0.01", 2, ""),
        ("state=f*led", 1, ""),
        ("tag=base", 1, ""),
        ("name~^The", 1, ""),
        ("/lr=0\\.01$/", 3, ""),
        ("-/LR=/i", 0, "No run: -/LR=/i: every run has it"),
        ("-state=failed seed=2", 2, ""),
        ('"lr=0.01"', 3, ""),
        ("accuracy>0.99", 0, "No run: accuracy>0.99: test/accuracy is from 0.8000 to 0.9200"),
        ("state=running", 0, "No run: state=running: state is finished, failed"),
        ("seed=0 seed=1", 0, "No run: each term is met by some run, but not all by one"),
        ("word", 0, "No run: no run has word"),
    ],
)
def test_a_filter_leaves_what_it_says(shared: Any, text: str, count: int, said: str) -> None:
    assert visible(shared, text) == [str(count), said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acuracy>0.9", "no run has a key or metric 'acuracy'; did you mean accuracy?"),
        ("constructor=1", "no run has a key or metric 'constructor'"),
        ("accuracy>high", "accuracy>high: 'high' is no number"),
        ("name>3", "name is no number in any run: = != ~ compare texts"),
        ("/(/", "/(/ is no regular expression: Unterminated group"),
        ("/abc", "/abc has no end: a regular expression stands between two slashes"),
        ('"abc', '"abc: the quotes do not end'),
        ("loss>0.1", "loss is test/loss or train/loss: type one of them"),
    ],
)
def test_a_filter_that_is_not_understood_changes_nothing_and_says_why(
    shared: Any, text: str, said: str
) -> None:
    if text.startswith("loss"):
        shared.evaluate("content.metrics['train/loss'] = content.metrics['test/loss']")
    assert visible(shared, "seed=2") == ["2", ""]
    assert visible(shared, text) == ["2", said]
    assert shared.locator("#filter").get_attribute("aria-invalid") == "true"


def test_a_view_is_an_address(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.locator("#by").select_option("seed")
    page.locator("#curve-x").select_option("epoch")
    page.locator("#smoothing").fill("0.5")
    page.locator("#curve-log").check()
    page.locator("#filter").fill("lr=0.01")
    page.locator("#table th button", has_text="seed").click()
    page.locator("#table tbody tr:not([hidden])").nth(1).press("Space")
    wait_for(page, "location.hash.includes('filter=lr%3D0.01')")
    address = page.url
    page.context.close()
    page, seen = open_page(chromium, path)
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#table tbody tr", state="attached")
    assert page.evaluate("[state.by, state.filter, [...state.selected].length, sorted.title]") == [
        "seed", "lr=0.01", 1, "seed",
    ]  # fmt: skip
    assert page.locator("#curve-x").input_value() == "epoch"
    assert page.locator("#smoothing-value").text_content() == "0.5"
    assert page.locator("#shown").text_content() == "3 of 7 runs, 1 selected"
    page.evaluate("location.hash = '#filter=seed%3D1'")
    wait_for(page, "state.filter === 'seed=1'")
    assert page.locator("#by").input_value() == ""
    assert seen.problems == []
    page.context.close()


def test_groups_by_any_key_have_their_own_statistics(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.locator("#by").select_option("seed")
    rows = page.locator("#groups tbody tr").all_text_contents()
    # The mean of 0.92 and 0.82, and Student's interval: 12.706 * 0.0707 / sqrt(2)
    assert rows[0].startswith("12" + "2" + "0.870" + "0.235 to 1.505")
    assert "in this page" in page.locator("#sentences").text_content()
    page.locator("#by").select_option("")
    assert page.locator("#sentences").text_content() == "lr=0.001 is better than lr=0.01 by 10 points"
    assert seen.problems == []
    page.context.close()


def panel_x(page: Any) -> list[float]:
    return page.evaluate("document.getElementById('panel-0').data[2].x")


def test_curves_over_epochs_examples_and_time(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.evaluate("byId('curves').scrollIntoView({behavior: 'instant'})")
    page.wait_for_selector("#panel-0 .main-svg", state="attached")
    assert panel_x(page)[-1] == 20
    for axis, last in (("epoch", 2.0), ("examples", 640), ("time", 10.0)):
        page.locator("#curve-x").select_option(axis)
        wait_for(page, f"Math.abs(document.getElementById('panel-0').data[2].x.at(-1) - {last}) < 1e-6")
    assert seen.problems == []
    page.context.close()


def test_panels_are_grouped_folded_searched_and_enlarged(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    names = page.locator("#panels summary").all_text_contents()
    assert names == ["eval 1", "train 1", "time 2"]
    assert page.locator("#panels details[open]").count() == 2
    page.locator("#panel-filter").fill("loss")
    assert page.locator(".panel").count() == 1
    page.locator("#panel-filter").fill("nothing")
    assert "No metric" in page.locator("#panels").text_content()
    page.locator("#panel-filter").fill("")
    page.locator(".panel figcaption button").first.click()
    assert page.locator(".panel.large").count() == 1
    wait_for(page, "location.hash.includes('large=eval')")
    page.locator(".panel.large figcaption button").click()
    assert page.locator(".panel.large").count() == 0
    assert seen.problems == []
    page.context.close()


def test_pictures_over_steps_and_enlarged_with_arrows(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.evaluate("byId('pictures').scrollIntoView({behavior: 'instant'})")
    page.locator("#gallery img").first.wait_for()
    assert page.locator("#picture-step-value").text_content() == "20"
    page.locator("#picture-step").fill("0")
    assert page.locator("#picture-step-value").text_content() == "10"
    page.locator("#gallery button").first.click()
    assert page.locator("#zoom-caption").text_content() == "matrix of The 0, step 10 (1 of 5)"
    page.keyboard.press("ArrowRight")
    assert "(2 of 5)" in page.locator("#zoom-caption").text_content()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "(5 of 5)" in page.locator("#zoom-caption").text_content()
    page.keyboard.press("Escape")
    assert page.locator("#zoom").is_hidden()
    assert seen.problems == []
    page.context.close()


def test_a_run_in_full(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    page.locator("#table tbody tr:not([hidden])").first.press("Enter")
    assert page.locator("#run-title").text_content() == "The 0"
    assert "good" in page.locator("#run-body").text_content()
    tabs = page.locator("#run-tabs button").all_text_contents()
    assert tabs == ["Overview", "Pictures", "Tables", "Config", "Log"]
    page.get_by_role("tab", name="Tables").click()
    assert "cat0.5000dog0.1250" in page.locator("#run-body tbody").text_content()
    page.get_by_role("tab", name="Log").click()
    assert page.locator("#run-body pre").text_content().strip() == "the last words"
    page.get_by_role("tab", name="Config").click()
    assert "seed: 0" in page.locator("#run-body").text_content()
    page.keyboard.press("ArrowRight")
    assert page.locator("#run-title").text_content() != "The 0"
    assert "tab=config" in page.url
    page.keyboard.press("Escape")
    assert page.locator("#run").is_hidden()
    page.wait_for_function("!location.hash.includes('run=')")
    assert seen.problems == []
    page.context.close()


def test_hidden_runs_are_shown_when_asked_for(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    assert page.locator("#shown").text_content() == "6 of 7 runs"
    page.locator("#table tbody tr:not([hidden])").first.press("Space")
    page.locator("#hide").click()
    assert page.locator("#shown").text_content() == "5 of 7 runs"
    page.locator("#hidden-shown").check()
    assert page.locator("#shown").text_content() == "7 of 7 runs"
    assert seen.problems == []
    page.context.close()


def test_all_is_drawn_on_paper(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path, scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for chart in ("intervals", "panel-0", "panel-1", "panel-2", "panel-3", "parallel", "scatter-chart"):
        assert page.locator(f"#{chart} .main-svg").count() > 0, chart
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert seen.problems == []
    page.context.close()


def test_one_run_shows_its_config_and_no_empty_chart(chromium: Any, tmp_path: Path) -> None:
    record = make_records(tmp_path)[0]
    (tmp_path / "one.html").write_text(render(make_comparison([record]), [record]))
    page, seen = open_page(chromium, tmp_path / "one.html")
    assert "1 run (1 finished)" in page.locator("#summary").text_content()
    assert page.locator("#scatter").is_hidden()
    assert page.locator("#parameters").is_hidden()
    assert page.locator("#config-table tbody tr").count() > 4
    assert seen.problems == []
    page.context.close()


def test_a_filter_that_leaves_nothing_draws_no_axes(chromium: Any, path: Path) -> None:
    page, seen = open_page(chromium, path)
    scroll_through(page)
    page.evaluate("applyFilter('accuracy>2')")
    wait_for(page, "document.querySelectorAll('#curves .nothing, #scatter .nothing').length >= 2")
    assert page.locator("#scatter-chart .main-svg").count() == 0
    page.evaluate("applyFilter('')")
    wait_for(page, "document.querySelectorAll('#scatter-chart .main-svg').length > 0")
    assert page.locator("#scatter .nothing").count() == 0
    assert seen.problems == []
    page.context.close()
