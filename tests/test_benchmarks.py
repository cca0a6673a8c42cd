"""docs/benchmarks.md is what its command makes of the numbers, and each of these has its command."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A command that a test has run in this process keeps Python from importing beside a script.
ALONE = {**os.environ, "PYTHONSAFEPATH": ""}
FOLDER = ROOT / "docs/benchmarks"


def test_the_page_is_made_of_the_numbers() -> None:
    command = [sys.executable, ROOT / "scripts/bench/report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 0, done.stderr


def test_what_was_typed_by_hand_bears_a_dagger() -> None:
    rows = [line for line in (ROOT / "docs/benchmarks.md").read_text("utf-8").splitlines() if "| `" in line]
    by_hand = len(json.loads((FOLDER / "earlier.json").read_text("utf-8")))
    assert sum("\u2020" in row for row in rows) == by_hand
    assert len(rows) > by_hand


def test_a_changed_number_makes_the_page_stale(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "docs").mkdir()
    for name in ("scripts/bench", "docs/benchmarks"):
        (tmp_path / name).mkdir()
        for file in (ROOT / name).glob("*.*"):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    page = (ROOT / "docs/benchmarks.md").read_text("utf-8")
    (tmp_path / "docs/benchmarks.md").write_text(page.replace("met |", "met! |", 1), "utf-8")
    command = [sys.executable, tmp_path / "scripts/bench/report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE)
    assert (done.returncode, "is stale" in done.stderr) == (1, True)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_number_has_its_command_date_and_machine(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    each = [row["measured"] for row in content] if path.stem == "earlier" else [content["measured"]]
    assert each
    for measured in each:
        assert measured["date"] >= "2026-11-27"
        assert measured["processor"]
        assert measured["versions"]["torch"]
        assert "(" not in measured["command"], "can be typed as it stands"
        words = shlex.split(measured["command"])
        script = next((word for word in words if word.startswith("scripts/")), None)
        assert script is None or (ROOT / script).exists()
        assert script or "aiexp" in words[:2], measured["command"]
