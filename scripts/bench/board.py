"""How long until the board shows a thousand runs, and what does it take to keep it up to date?

    python scripts/bench/board.py                      1,000 runs of 500 points, 10 of them under way
    python scripts/bench/board.py --runs 200 --rounds 1

Goals: first view 2 s, an update 100 ms of processor time, on an idle core. "start" is from the command to its
address; from there until Chromium has drawn findings and table is the "first view", until the charts in view
are there as well "with charts" (`--no-browser` leaves both out). An update is an answer after every run under
way has logged a line; "compare" is one after a run has ended, which compares all of them anew, and which the
board does for at most a twentieth of the time.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compare import make_runs
from side import COMPARING, Claim, write_json

METRICS = ("eval/accuracy", "train/accuracy", "eval/loss", "train/loss")
CHARTED = 50  # runs whose curves panels show: 10 groups of 5 seeds
VIEWED = ("first view in Chromium, s", "with charts, s")
VIEWS = 3  # the median counts
LOOK_SECONDS = 1.1  # a board looks at the disk once a second


class UnderWay:
    """A run that goes on while it is watched."""

    def __init__(self, path: Path) -> None:
        self.path, self.step = path, 5000
        status = json.loads((path / "status.json").read_text())
        changes = {"state": "running", "metrics": None, "seal": None, "total_steps": 10_000, "step": 5000}
        (path / "status.json").write_text(json.dumps(status | changes))
        self.lock = (path / ".lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def log(self) -> None:
        self.step += 10
        values = {"train/loss": 0.1, "train/accuracy": 0.9, "time/step_seconds": 0.01}
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, **values}) + "\n")

    def end(self) -> None:
        status = json.loads((self.path / "status.json").read_text())
        changes = {"state": "finished", "metrics": {"test/accuracy": 0.9, "eval/accuracy": 0.9}}
        (self.path / "status.json").write_text(json.dumps(status | changes))
        self.lock.close()


class Board:
    """The command, started; counts the seconds that it works."""

    def __init__(self, folder: Path) -> None:
        begun = time.perf_counter()
        words = [sys.executable, "-m", "aiexp", "board", str(folder), "--port", "0"]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split()[2]
        self.start_seconds = time.perf_counter() - begun
        self.version, self.versions, self.only = 0, dict.fromkeys(METRICS, 0), range(CHARTED)

    def processor(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_megabytes(self) -> float:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) / 1e3

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.address}/{path}") as answer:
            return answer.read()

    def ask(self) -> tuple[dict[str, Any], int]:
        """What has changed, as the page asks for it, and how many bytes say so."""
        curves = "".join(f"&curve={version}:{name}" for name, version in self.versions.items())
        curves += f"&only={','.join(map(str, self.only))}"
        body = self.get(f"changes?since={self.version}{curves}")
        found = json.loads(body)
        self.version, self.versions = found["version"], dict.fromkeys(METRICS, found["version"])
        return found, len(body)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def first_view(address: str) -> tuple[float, float]:
    """Seconds until Chromium has drawn the findings and the table, and until the charts in view are there."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        begun = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("#table tbody tr", state="attached")
        page.wait_for_selector("#intervals .main-svg", state="attached")
        seconds = time.perf_counter() - begun
        readable = page.evaluate("performance.getEntriesByName('readable')[0].startTime")
        browser.close()
    return readable / 1000, seconds


def measure_updates(board: Board, change: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Mean seconds of the processor, of the clock, and bytes, of an answer after a change."""
    processor = clock = size = 0.0
    for _ in range(rounds):
        change()
        time.sleep(LOOK_SECONDS)
        before, begun = board.processor(), time.perf_counter()
        size += board.ask()[1]
        clock += time.perf_counter() - begun
        processor += board.processor() - before
    return processor / rounds, clock / rounds, size / rounds


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    sizes = f"{result['runs']:,} runs of {result['points']} points, {result['under_way']} under way"
    about = f"`aiexp board`, {sizes}"
    update = result["update, s of processor"]
    found = [
        Claim(
            field=COMPARING, what=f"{about}: an update", measured=f"{1000 * update:.0f} ms of processor time",
            goal="100 ms", is_met=update <= 0.1,
        )
    ]  # fmt: skip
    wheres = ("first view (findings, table) in Chromium without a GPU", "the same with its charts")
    for where, seconds in zip(wheres, map(result.get, VIEWED), strict=True):
        if seconds is not None:
            about_view = {"what": f"{about}: {where}", "measured": f"{seconds:.1f} s"}
            found.append(Claim(field=COMPARING, **about_view, goal="2 s", is_met=seconds <= 2))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--under-way", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20, help="updates measured")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_runs(folder, arguments.runs, arguments.points)
        paths = sorted(path.parent for path in folder.rglob("status.json"))
        working = [UnderWay(path) for path in paths[:: max(len(paths) // arguments.under_way, 1)]]
        num_working = len(working)  # some of them end while it is measured
        board = Board(folder)
        try:
            numbers = measure(board, working, arguments.rounds, with_browser=not arguments.no_browser)
        finally:
            board.close()
    print(f"{arguments.runs} runs of {arguments.points} points, {num_working} under way")
    for what, value in numbers.items():
        print(f"{what:36}{value:10.3f}")
    sizes = {"runs": arguments.runs, "points": arguments.points, "under_way": num_working}
    write_json(arguments.json, {**sizes, **numbers}, "plotly")


def measure(board: Board, working: list[UnderWay], rounds: int, *, with_browser: bool) -> dict[str, float]:
    """All numbers, by what they are."""
    numbers = {"start, s": board.start_seconds}
    before, begun = board.processor(), time.perf_counter()
    board.get("")
    numbers["page sent, s"] = time.perf_counter() - begun
    begun = time.perf_counter()
    size = board.ask()[1]
    numbers["curves of 4 metrics sent, s"] = time.perf_counter() - begun
    numbers["curves of 4 metrics, MB"] = size / 1e6
    numbers["both, s of processor"] = board.processor() - before
    if with_browser:
        views = [first_view(board.address) for _ in range(VIEWS)]
        for what, seconds in zip(VIEWED, zip(*views, strict=True), strict=True):
            numbers[what] = statistics.median(seconds)
    idle = measure_updates(board, lambda: None, rounds)
    numbers["nothing new, s of processor"] = idle[0]
    update = measure_updates(board, lambda: [run.log() for run in working], rounds)
    numbers |= {"update, s of processor": update[0], "update, s": update[1], "update, MB": update[2] / 1e6}
    ended = measure_updates(board, lambda: working.pop().end(), min(rounds, 3))
    numbers["compare, s of processor"] = ended[0]
    numbers["memory at most, MB"] = board.peak_megabytes()
    return numbers


if __name__ == "__main__":
    main()
