"""An installed wheel of this checkout, in a folder of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def install_wheel(target: Path) -> Path:
    """Builds the wheel without any network and installs it below `target`; what to put into PYTHONPATH."""
    pytest.importorskip("hatchling")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    for words in (
        ["wheel", "--no-build-isolation", "--wheel-dir", target, ROOT],
        ["install", "--target", target / "site"],
    ):
        wheels = target.glob("*.whl") if words[0] == "install" else []
        done = subprocess.run(
            [*pip, words[0], *offline, *map(str, [*words[1:], *wheels])], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return target / "site"
