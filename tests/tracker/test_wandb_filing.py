"""Where W&B files a run: keys of the config, W&B's own variables, and what W&B refuses."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.config.compose import compose
from aiexp.errors import ConfigError
from aiexp.tracker.base import RunInfo
from aiexp.tracker.wandb.filing import check_variables
from tests.tracker.conftest import make_tracker
from tests.tracker.wandb_file import WandbFile, read_wandb_file

MakeRun = Callable[..., RunInfo]
VARIABLES = {
    "WANDB_PROJECT": "digits", "WANDB_NAME": "theirs", "WANDB_RUN_GROUP": "grid", "WANDB_JOB_TYPE": "train",
    "WANDB_NOTES": "a note", "WANDB_TAGS": "one, two",
}  # fmt: skip


def opened(run: RunInfo, **keys: Any) -> WandbFile:
    """An offline run that ends at once, as W&B will read it."""
    tracker = make_tracker(mode="offline", record=[], **keys)
    record = tracker.start(run)
    tracker.close(0)
    return read_wandb_file(run.directory / record["dir"] / f"run-{record['id']}.wandb")


def test_variables_count_where_the_config_says_nothing(
    home: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    run = make_run(differs=["seed=1"])
    found = opened(run)
    assert (found.project, found.name, found.group) == ("digits", "theirs seed=1", "grid")
    assert (found.job_type, found.notes) == ("train", "a note")
    assert sorted(found.tags) == sorted([*run.tags, "one", "two"])
    keys: dict[str, Any] = {
        "project": "p", "name": "n", "group": "g", "job_type": "j", "notes": "ours", "tags": ["t"]
    }  # fmt: skip
    found = opened(make_run(), **keys)
    assert (found.project, found.name, found.group, found.job_type) == ("p", "n", "g", "j")
    assert (found.notes, sorted(found.tags)) == ("ours", sorted([*run.tags, "t"]))


PLACES = ["digits", "my-team_2.x", "a/b", "a\\b", "a#", "a?", "a%", "a:b", "é ü", "x" * 128, "x" * 129]
TAGS = ["first try", "a/b", "x" * 64, "x" * 65]


@pytest.mark.parametrize(("key", "value"), [("project", v) for v in PLACES] + [("tags", v) for v in TAGS])
def test_the_config_refuses_what_wandb_refuses(
    key: str, value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    setting: dict[str, Any] = {"project": value} if key == "project" else {"run_tags": (value,)}
    try:
        wandb.Settings(**setting)
        is_taken = True
    except (wandb.UsageError, ValueError):
        is_taken = False
    word = f"tracker.{key}='{value}'" if key == "project" else f"tracker.{key}=['{value}']"
    monkeypatch.setenv(f"WANDB_{key.upper()}", value)
    if is_taken:
        compose([word])
        check_variables()
        return
    with pytest.raises(ConfigError, match=f"tracker.{key}"):
        compose([word])
    with pytest.raises(ConfigError, match=f"WANDB_{key.upper()}"):
        make_tracker()
    make_tracker(mode="disabled")


def test_it_is_said_before_torch_is_imported(home: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from aiexp.cli import main\n"
        "code = main(['run', 'tracker.project=a/b', 'tracker.entity=c/d'])\n"
        "print(code, 'torch' in sys.modules, 'wandb' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "2 False False\n"
    project, entity = done.stderr.splitlines()
    assert project.startswith("aiexp: error[config]: ")
    assert "'a/b'" in project
    assert "tracker.project" in project
    assert r"of length [1, 128] without any of /\#?%:" in project
    assert "tracker.entity" in entity
    assert not (tmp_path / "outputs").exists()
