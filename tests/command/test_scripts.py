"""scripts/run and scripts/test, in a copy of the repository's outline."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that is set up; its programs print what they are called with."""
    root = tmp_path / "repo"
    for folder in (root / "scripts", root / "tests", root / ".venv" / "bin"):
        folder.mkdir(parents=True)
    for name in ("run", "test", "environment.sh"):
        shutil.copy(SCRIPTS / name, root / "scripts" / name)
    (root / "tests/test_x.py").touch()
    (root / "pyproject.toml").write_text("a\n")
    (root / "constraints.txt").write_text("b\n")
    installed = subprocess.run(["cksum"], input="a\nb\n", capture_output=True, text=True, check=True).stdout
    (root / ".venv" / "aiexp-installed").write_text(installed)
    for name in ("aiexp", "python"):
        program = root / ".venv" / "bin" / name
        program.write_text('#!/bin/sh\npwd -P\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    return root


def printed(command: list[str], here: Path) -> list[str]:
    environment = os.environ | {"PWD": str(here)}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["{root}/scripts/run", "../repo/scripts/run"])
def test_run_stays_in_the_folder_it_was_called_from(root: Path, tmp_path: Path, how: str) -> None:
    here = tmp_path / "my work"
    here.mkdir()
    words = printed([how.format(root=root), "task=x", "a b"], here)
    assert words == [str(here.resolve()), "run", "task=x", "a b"]


@pytest.mark.parametrize(
    ("words", "is_shared"),
    [
        ([], True),
        (["-m", "slow"], True),
        (["-x", "-k", "a and not b"], True),
        (["tests"], True),
        (["tests/test_x.py", "-x"], False),
        (["-x", "tests/test_x.py::test_y[a-b]"], False),
    ],
)
def test_the_suite_is_shared_by_processes_and_a_file_is_not(
    root: Path, tmp_path: Path, words: list[str], is_shared: bool
) -> None:
    folder, *arguments = printed([str(root / "scripts/test"), *words], tmp_path)
    assert folder == str(root.resolve())
    assert arguments[:2] == ["-m", "pytest"]
    assert arguments[len(arguments) - len(words) :] == words
    assert ("-n" in arguments) == is_shared
