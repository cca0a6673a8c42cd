"""The board in headless Chromium, while runs begin, go on and end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiexp.board import watch as module
from aiexp.rundir.notes import read_notes
from tests.board.made import Working, served
from tests.compare.page_runs import Seen, browser, make_records, needs_browser, png, write_run
from tests.compare.test_page_browser import wait_for

pytestmark = needs_browser
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e6)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


def open_board(chromium: Any, address: str) -> tuple[Any, Seen]:
    page = chromium.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce").new_page()
    page.set_default_timeout(60_000)
    seen = Seen()
    page.on("console", lambda m: seen.problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("request", lambda r: seen.requests.append(r.url) if r.url.startswith("http") else None)
    page.goto(address)
    wait_for(page, "!byId('live').hidden")
    return page, seen


def ask(page: Any) -> None:
    """It asks by itself every two seconds; here at once."""
    page.evaluate("ask()")


def test_a_run_is_followed_from_nothing_to_its_result(chromium: Any, tmp_path: Path) -> None:
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, address)
        assert "0 runs" in page.locator("#shown").text_content()
        run = Working(tmp_path, "2026-01-01_00-00-00_one_abcdef")
        run.go_on(4)
        ask(page)
        wait_for(page, "document.querySelectorAll('#table tbody tr').length === 1")
        assert page.locator("#table tbody tr").text_content().startswith("one_abcdef20 %, 8.0 s left0.2500")
        page.evaluate("byId('curves').scrollIntoView()")
        wait_for(page, "byId('panel-0')?.data?.[0]?.y?.length === 4")
        run.go_on(4)
        ask(page)
        wait_for(page, "byId('panel-0').data[0].y.length === 8")
        assert "40 %" in page.locator("#table tbody tr").text_content()
        assert page.locator("#live").text_content() == "1 running"
        run.end(**{"test/accuracy": 0.75})
        ask(page)
        wait_for(page, "runs.state[0] === 'finished' && metricName === 'test/accuracy'")
        assert "0.7500" in page.locator("#table tbody tr").text_content()
        assert seen.problems == []
        assert all(request.startswith(address) for request in seen.requests)
        page.context.close()


def test_what_somebody_looks_at_stays_while_runs_come_and_go(chromium: Any, tmp_path: Path) -> None:
    records = make_records(tmp_path)
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, f"{address}#filter=lr%3D0.01&by=seed")
        page.locator("#table tbody tr:not([hidden])").first.press("Space")
        chosen = page.evaluate("[...state.selected][0]")
        run = Working(tmp_path, "0_first", lr=0.01, seed=5)
        run.go_on(3)
        ask(page)
        wait_for(page, f"numRuns === {len(records) + 1}")
        assert page.evaluate("[...state.selected][0]") == chosen
        assert page.locator("#filter").input_value() == "lr=0.01"
        assert page.locator("#by").input_value() == "seed"
        assert page.locator("#shown").text_content() == "4 of 7 runs, 1 selected"
        row = page.locator("#table tr[aria-selected=true]")
        assert row.get_attribute("data-key") == chosen
        assert page.evaluate("document.activeElement.dataset.key") == chosen
        assert seen.problems == []
        page.context.close()


def test_notes_tags_and_hiding_are_kept(chromium: Any, tmp_path: Path) -> None:
    record = make_records(tmp_path)[0]
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, address)
        page.locator("#table tbody tr").first.press("Enter")
        page.get_by_label("Title").fill("The <b>best</b>")
        page.get_by_label("Tags").fill("base, done")
        page.get_by_role("textbox", name="Note").fill("as in\nthe paper")
        page.get_by_role("button", name="Save").click()
        wait_for(page, "byId('run-body').textContent.includes(\"kept in the run's notes.json\")")
        page.keyboard.press("Escape")
        (kept,) = [found for path in record.path.parent.iterdir() if (found := read_notes(path)).title]
        assert (kept.title, kept.tags, kept.note) == ("The <b>best</b>", ("base", "done"), "as in\nthe paper")
        assert page.locator("#table td.name", has_text="The <b>best</b>").count() == 1
        page.evaluate("applyFilter('tag=base')")
        assert page.locator("#shown").text_content() == "1 of 6 runs"
        assert seen.problems == []
        page.context.close()


def test_details_and_pictures_come_when_they_are_looked_at(chromium: Any, tmp_path: Path) -> None:
    record = make_records(tmp_path)[0]
    run = Working(tmp_path, "zz_working")
    run.go_on(3)
    (run.path / "run.log").write_text("step 3\n")
    (record.path / "figures").mkdir()
    for step in (10, 20):
        (record.path / f"figures/matrix_step-{step:08d}.png").write_bytes(png(8, 8 + step))
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, address)
        page.evaluate("byId('pictures').scrollIntoView()")
        wait_for(page, "document.querySelector('#gallery img')?.naturalHeight === 28")
        page.locator("#picture-step").fill("0")
        wait_for(page, "document.querySelector('#gallery img')?.naturalHeight === 18")
        page.evaluate("showRun(runs.name.indexOf('zz_working'), 'log')")
        wait_for(page, "byId('run-body').textContent.trim() === 'step 3'")
        (run.path / "run.log").write_text("step 3\nstep 4\n")
        run.go_on()
        ask(page)
        wait_for(page, "byId('run-body').textContent.trim().endsWith('step 4')")
        page.get_by_role("tab", name="System load").click()
        wait_for(page, "byId('load-now') !== null")
        assert seen.problems == []
        page.context.close()


def test_the_open_run_stays_the_same_when_another_comes_before_it(chromium: Any, tmp_path: Path) -> None:
    for record in make_records(tmp_path):
        (record.path / "run.log").write_text(f"said by {record.name}\n")
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, address)
        page.locator("#table tbody tr").first.press("Enter")
        title = page.locator("#run-title").text_content()
        for place in range(3):
            write_run(tmp_path, f"0_{place}", lr=0.001, seed=7 + place, score=0.99)
        ask(page)
        wait_for(page, "numRuns === 9 && runs.name[0].startsWith('0_')")
        page.get_by_role("tab", name="Log").click()
        wait_for(page, "byId('run-body').textContent.startsWith('said by')")
        assert page.locator("#run-title").text_content() == title
        assert title in page.locator("#run-body").text_content()
        assert seen.problems == []
        page.context.close()


def test_a_log_that_somebody_reads_stays_where_it_is(chromium: Any, tmp_path: Path) -> None:
    run = Working(tmp_path, "one")
    log = "".join(f"line {i}\n" for i in range(300))
    (run.path / "run.log").write_text(log)
    run.go_on()
    with served(tmp_path) as (address, _):
        page, seen = open_board(chromium, address)
        page.evaluate("showRun(0, 'log')")
        wait_for(page, "byId('run-body').textContent.includes('line 299')")
        body = "byId('run-body')"
        assert page.evaluate(f"{body}.scrollTop > 100")  # at its end
        page.evaluate(f"{body}.scrollTop = 50")
        page.evaluate(
            "window.dots = 0, new MutationObserver(() => "
            f"dots += {body}.textContent === '\u2026').observe({body}, {{childList: true}})"
        )
        (run.path / "run.log").write_text(log + "more\n")
        run.go_on()
        ask(page)
        wait_for(page, f"{body}.textContent.includes('more')")
        assert page.evaluate(f"[{body}.scrollTop, dots]") == [50, 0]
        page.evaluate(f"{body}.scrollTop = {body}.scrollHeight")
        (run.path / "run.log").write_text(log + "more\nlast\n")
        run.go_on()
        ask(page)
        wait_for(page, f"{body}.textContent.includes('last')")
        assert page.evaluate(f"{body}.scrollTop + {body}.clientHeight >= {body}.scrollHeight - 4")
        assert seen.problems == []
        page.context.close()


def test_an_answer_that_cannot_be_taken_does_not_end_the_asking(chromium: Any, tmp_path: Path) -> None:
    make_records(tmp_path)
    with served(tmp_path) as (address, _):
        page, _ = open_board(chromium, address)
        page.evaluate(
            "() => { window.asked = 0; take = async () => { asked += 1; throw new Error('odd'); }; }"
        )
        wait_for(page, "asked >= 2")
        page.context.close()


@contextmanager
def process(folder: Path, port: int) -> Iterator[str]:
    """The command in a process of its own; its address."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "aiexp", "board", str(folder), "--port", str(port)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        yield running.stderr.readline().split()[2]
        running.terminate()


def test_a_board_that_has_ended_says_so_and_one_started_anew_goes_on(chromium: Any, tmp_path: Path) -> None:
    make_records(tmp_path)
    with process(tmp_path, 0) as address:
        page, seen = open_board(chromium, address)
    ask(page)
    wait_for(page, "byId('live').textContent === 'the board has ended'")
    assert all("ERR_" in problem for problem in seen.problems)  # Chromium's own word on a failed request
    with process(tmp_path, int(address.rpartition(":")[2])):
        page.wait_for_function("document.getElementById('live')?.textContent === 'live'")
    page.context.close()
