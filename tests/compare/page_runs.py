"""Runs on disk for the page, and a browser to look at it."""

import json
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp.compare.comparison import Comparison, Group
from aiexp.compare.metric import Metric
from aiexp.compare.statistics.interval import Interval
from aiexp.rundir.record import RunRecord, read_record

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)")


def write_run(
    folder: Path, name: str, *, lr: float, seed: int, score: float, num_points: int = 20, **more: Any
) -> RunRecord:
    """A run whose eval/accuracy climbs to `score` in a straight line."""
    path = folder / "outputs" / "toy" / name
    path.mkdir(parents=True)
    config = {
        "seed": seed,
        "trainer": {"steps": num_points},
        "task": {"optimizer": {"lr": lr, "name": "adam"}},
        "tag": more.get("tag", ""),
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    typed = {
        "choices": {"task": "toy", "model": "cnn"},
        "overrides": [f"task.optimizer.lr={lr}", f"seed={seed}"],
    }
    (path / "overrides.yaml").write_text(yaml.safe_dump(typed))
    metrics = {"test/accuracy": score, "test/loss": 1 - score}
    status = {
        "state": more.get("state", "finished"),
        "seconds": 10.0 + seed,
        "peak_memory_bytes": 2**30,
        "metrics": metrics,
    }
    (path / "status.json").write_text(json.dumps(status | {"error": more.get("error")}))
    rows = [
        {"step": i, "eval/accuracy": score * i / num_points, "train/loss": 1 / i}
        for i in range(1, num_points + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_record(path)


def make_records(folder: Path) -> list[RunRecord]:
    """Two groups of three seeds."""
    return [
        write_run(
            folder,
            f"2026-01-01_00-00-0{seed}_lr={lr},seed={seed}_aaaaaa",
            lr=lr,
            seed=seed,
            score=base + seed / 100,
        )
        for lr, base in ((0.001, 0.9), (0.01, 0.8))
        for seed in range(3)
    ]


def make_comparison(
    records: list[RunRecord], *, columns: tuple[str, ...] = ("task.optimizer.lr",)
) -> Comparison:
    """Groups by learning rate, written by hand: this tests the page, not the statistics."""
    by_rate: dict[float, list[RunRecord]] = {}
    for record in records:
        by_rate.setdefault(record.config["task.optimizer.lr"], []).append(record)
    groups: list[Group] = []
    for rate, runs in by_rate.items():
        scores = [run.metrics["test/accuracy"] for run in runs]
        center = sum(scores) / len(scores)
        interval = Interval(center - 0.02, center + 0.02) if len(runs) > 1 else None
        groups.append(
            Group(
                label=f"lr={rate}",
                name=f"lr={rate}",
                values={"task.optimizer.lr": rate},
                records=runs,
                scores=scores,
                center=center,
                interval=interval,
            )
        )
    return Comparison(
        metric=Metric(name="test/accuracy", is_higher_better=True),
        statistic="mean",
        columns=list(columns),
        names={key: key.rpartition(".")[2] for key in columns},
        differing=list(columns),
        groups=sorted(groups, key=lambda group: -group.center),
        sentences=["lr=0.001 is better than lr=0.01 by 10 points"],
        notes=["a note"],
    )


def png(width: int, height: int, color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(color) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


class Seen:
    """What went on while a page was open."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium with a software GPU, for the parallel coordinates."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


def open_page(running: Any, path: Path, *, scheme: str = "light", width: int = 1300) -> tuple[Any, Seen]:
    """The page, loaded, and what it says and asks for."""
    page = running.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    ).new_page()
    page.set_default_timeout(60_000)
    seen = Seen()
    page.on("console", lambda m: seen.problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("dialog", lambda dialog: (seen.problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on(
        "request", lambda r: seen.requests.append(r.url) if not r.url.startswith(("data:", "blob:")) else None
    )
    page.goto(path.as_uri())
    page.wait_for_selector("#table tbody tr", state="attached")
    page.wait_for_selector("#plotly", state="detached")  # charts start after what can be read
    return page, seen


def scroll_through(page: Any) -> None:
    """Every section comes into view, so that its charts are drawn."""
    for section in ("findings", "runs", "curves", "parameters", "scatter", "config", "pictures"):
        page.evaluate("id => document.getElementById(id).scrollIntoView({behavior: 'instant'})", section)
        page.wait_for_timeout(60)
    for chart in ("intervals", "panel-0", "parallel", "scatter-chart"):
        page.wait_for_selector(f"#{chart} .main-svg", state="attached")
