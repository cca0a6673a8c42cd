"""A home without W&B accounts, a server on loopback, and short ways to make a tracker and a run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp.tracker.base import RunInfo
from aiexp.tracker.wandb import WandbTracker
from tests.tracker.fake_wandb import FakeWandb

CONF = Path(__file__).parents[2] / "conf" / "tracker"
SELECTION = {"monitor": "eval/accuracy", "mode": "max"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home directory; no W&B, proxy or secret variable of the developer is left."""
    for name in list(os.environ):
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(tmp_path)
    yield folder
    import wandb

    wandb.teardown()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWandb]:
    """A server that the environment points to, with a good key."""
    with FakeWandb() as fake:
        for name, value in fake.env().items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunInfo]:
    """Makes the description of a run in `<tmp_path>/run`."""

    def make(**changes: Any) -> RunInfo:
        directory = tmp_path / "run"
        directory.mkdir(exist_ok=True)
        values: dict[str, Any] = {
            "directory": directory,
            "id": "1a2b3c4d5e",
            "task": "bert_finetune",
            "name": "bert_finetune lr=0.001",
            "group": "2026-01-01_sweep",
            "tags": ["bert_finetune", "minilm", "movie_reviews"],
            "config": {"seed": 7, "trainer": {"selection": SELECTION, "steps": 3}},
            "previous": None,
        }
        return RunInfo(**(values | changes))

    return make


def make_tracker(**changes: Any) -> WandbTracker:
    """The tracker of conf/tracker/wandb.yaml with changes."""
    arguments = yaml.safe_load((CONF / "wandb.yaml").read_text())
    del arguments["_target_"]
    return WandbTracker(**(arguments | {"has_system_metrics": False, "finish_timeout_seconds": 10} | changes))
