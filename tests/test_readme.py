"""The README is short, names what there is, and its own task works as it stands there."""

import re
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.command import COMMANDS
from aiexp.config.compose import compose
from aiexp.errors import DataError
from aiexp.source.fetch import fetch
from tests.forks import in_fork
from tests.lab import forget_own_code

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_it_is_read_in_minutes() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 220  # rows of a table are one line


def test_what_it_points_to_is_there() -> None:
    targets = re.findall(r"\]\(([\w./]+)\)", README)
    assert len(targets) >= 8
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_commands_it_types_are_commands() -> None:
    typed = re.findall(r"(?:^    |`)aiexp (\w+)", README, re.MULTILINE)
    assert {"run", "resume", "compare", "predict", "check"} <= set(typed) <= set(COMMANDS)


@pytest.mark.parametrize(
    "line", re.findall(r"^    (?:scripts/|aiexp )run (.*?)(?:  +#.*)?$", README, re.MULTILINE)
)
def test_what_it_runs_composes(line: str) -> None:
    words = [word for word in line.replace("...", "").split() if word != "-m"]
    ours = [word for word in words if not word.startswith("hydra")]
    compose([word.split(",")[0] for word in ours])


def own_task(folder: Path) -> None:
    """The files of the section on one's own task, exactly as they stand there."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (config,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    lines = [line for line in [*code.splitlines(), *config.splitlines()] if line.strip() and line[0] != "#"]
    assert len(lines) <= 16
    (folder / "my_lab.py").write_text(code)
    (folder / "conf/task").mkdir(parents=True)
    (folder / "conf/task/autoencoder.yaml").write_text(config)


@pytest.mark.network
def test_the_task_of_ones_own_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        fetch("mnist")
    except DataError as error:
        pytest.skip(f"MNIST cannot be fetched: {error.what}")
    own_task(tmp_path)
    monkeypatch.chdir(tmp_path)
    forget_own_code(monkeypatch)
    words = [
        "check",
        "task=autoencoder",
        "--resume",
        "dataset.limit=500",
        "hardware=cpu",
        "hardware.threads=1",
    ]
    ended = in_fork(lambda: cli.main(words), tmp_path, seconds=100)
    assert ended.code == 0, ended.stderr
    assert "exact: saved, built again and loaded" in ended.stdout
