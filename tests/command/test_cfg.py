"""What `run --cfg` and `--info` print."""

from pathlib import Path

import pytest

from tests.lab import Lab, make_lab

SECRET = "hunter2hunter2"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = make_lab(tmp_path, monkeypatch)
    lab.write(
        "my_lab/locked.py",
        "class Model:\n    def __init__(self, *, width: int, login: dict[str, str] | None = None, "
        "api_key: str = ''): ...\n",
    )
    lab.write(
        "conf/model/locked.yaml",
        "# Locked\n_target_: my_lab.locked.Model\nwidth: 3\n"
        f"api_key: {SECRET}\nlogin: {{password: {SECRET}}}\n",
    )
    return lab


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfg", "job"], "width: 3"),
        (["--cfg", "job", "--resolve"], "width: 3"),
        (["--cfg", "job", "--package", "model"], "width: 3"),
        (["--cfg", "job", "--package", "model.api_key"], "***"),
        (["--cfg", "all"], "width: 3"),
        (["--cfg", "hydra", f"model.api_key={SECRET}"], "model.api_key=***"),
        (["--info", "config"], "width: 3"),
    ],
)
def test_secrets_are_masked(lab: Lab, words: list[str], expected: str) -> None:
    done = lab.aiexp("run", "model=locked", *words)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    assert "***" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_show_masks_secrets(lab: Lab) -> None:
    done = lab.aiexp("show", "model=locked", "seed=1")
    assert done.returncode == 0, done.stderr
    assert "api_key: '***'" in done.stdout
    assert SECRET not in done.stdout + done.stderr
