"""The tutorials: their folders, copied, and every command of their pages, in the order of the page."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiexp import cli
from tests.docs.pages import EXAMPLES, commands, expectations
from tests.forks import in_fork
from tests.lab import forget_own_code
from tests.wheel import install_wheel

NAMES = sorted(path.name for path in EXAMPLES.iterdir())
QUIET = {"WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}


def copied(name: str, folder: Path) -> Path:
    """A tutorial's folder as a reader would have it."""
    target = folder / name
    shutil.copytree(
        EXAMPLES / name, target, ignore=shutil.ignore_patterns("__pycache__", "outputs", "README.md")
    )
    return target


def check_result(name: str, folder: Path) -> None:
    """Fails unless the newest run has come to what the page says."""
    wanted = expectations(EXAMPLES / name / "README.md")
    assert wanted, "the page says <!-- expect: METRIC >= VALUE -->"
    runs = [path for path in folder.glob("outputs/*/*/status.json") if "sweep" not in path.parent.name]
    metrics = json.loads(max(runs, key=lambda path: path.parent.name).read_text())["metrics"]
    assert [(metric, metrics[metric]) for metric, least in wanted if not metrics[metric] >= least] == []


def shortened(words: list[str]) -> list[str]:
    """A command that trains four steps only."""
    if words[1] != "run":
        return words
    kept = [word for word in words if not word.startswith(("trainer.steps=", "trainer.epochs="))]
    return [*kept, "trainer.steps=4", "trainer.epochs=null", "trainer.evaluate_every=4"]


@pytest.mark.parametrize(
    "name", [n if n == "your_task" else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_the_commands_of_a_tutorial_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for a few steps; what they come to is for the long test."""
    folder = copied(name, tmp_path)
    monkeypatch.chdir(folder)
    forget_own_code(monkeypatch)
    for command in commands(EXAMPLES / name / "README.md"):
        if command.slow:
            continue
        words = command.words
        assert command.not_run == command.fails == ""
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], check=True)
            continue
        assert words[0] == "aiexp"
        ended = in_fork(lambda words=words: cli.main(shortened(words)[1:]), tmp_path, seconds=240)
        assert ended.code == 0, f"{command}\n{ended.stderr}{ended.stdout}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed wheel."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_works_from_an_installed_wheel(name: str, tmp_path: Path, installed: Path) -> None:
    folder = copied(name, tmp_path)
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    asked = [sys.executable, "-c", "import aiexp; print(aiexp.__file__)"]
    place = subprocess.run(asked, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert place.stdout.startswith(str(installed))
    for command in commands(EXAMPLES / name / "README.md"):
        program = [sys.executable] if command.words[0] == "python" else [sys.executable, "-m", "aiexp"]
        done = subprocess.run(
            [*program, *command.words[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    check_result(name, folder)
