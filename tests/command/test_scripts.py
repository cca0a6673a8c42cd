"""scripts/run, in a copy of the repository's outline."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("how", ["{root}/scripts/run", "../repo/scripts/run"])
def test_run_stays_in_the_folder_it_was_called_from(tmp_path: Path, how: str) -> None:
    root, here = tmp_path / "repo", tmp_path / "my work"
    for folder in (root / "scripts", root / ".venv" / "bin", here):
        folder.mkdir(parents=True)
    for name in ("run", "environment.sh"):
        shutil.copy(SCRIPTS / name, root / "scripts" / name)
    (root / "pyproject.toml").write_text("a\n")
    (root / "constraints.txt").write_text("b\n")
    installed = subprocess.run(["cksum"], input="a\nb\n", capture_output=True, text=True, check=True).stdout
    (root / ".venv" / "aiexp-installed").write_text(installed)
    program = root / ".venv" / "bin" / "aiexp"
    program.write_text('#!/bin/sh\npwd -P\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    command = [how.format(root=root), "task=x", "a b"]
    environment = os.environ | {"PWD": str(here)}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [str(here.resolve()), "run", "task=x", "a b"]
