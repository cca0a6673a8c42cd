"""The commands with the real W&B client against a server on loopback: one run, one W&B run, also resumed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from tests.endings import at_step
from tests.test_run import TINY, aiexp, folder, only_run
from tests.tracker.conftest import home, server
from tests.tracker.fake_wandb import FakeWandb

__all__ = ["folder", "home", "server"]  # fixtures
WORDS = [w for w in TINY if not w.startswith("tracker")] + [
    "trainer.steps=9", "trainer.epochs=null", "trainer.checkpoint.every=2",
    "tracker.has_system_metrics=false",
]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_run_resumes_in_the_same_wandb_run(
    folder: Path, server: FakeWandb, number: int, code: int
) -> None:
    def stop_at_5() -> None:
        at_step(5, lambda: os.kill(os.getpid(), number))

    assert aiexp(folder, "run", *WORDS, "tracker.notes=my note", before=stop_at_5).code == code
    assert "tracker.notes=my note" in only_run(folder).read_json("environment.json")["argv"]
    assert "'tracker.notes=my note'" in only_run(folder).read_json("environment.json")["command"]
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 0, ended.stderr
    [(run_id, run)] = server.runs.items()
    directory: RunDirectory = only_run(folder)
    assert directory.read_json("environment.json")["tracker"]["wandb"]["id"] == run_id
    assert run.config["dataset"]["train_file"] == "texts.csv"
    environment = directory.read_json("environment.json")
    assert run.config["aiexp"] == {
        "run_id": environment["run_id"], "directory": str(directory.path.relative_to(folder)), "sweep": None,
        "task": "bert_finetune", "parameters": environment["parameters"],
    }  # fmt: skip
    assert environment["parameters"] > 0
    assert run.fields["jobType"] == "bert_finetune"
    steps = [row["step"] for row in run.history if "train/loss" in row]
    # wandb writes once a second: a SIGKILL takes what was logged since, here the row of step 3.
    assert sorted(set(steps)) == ([3, 6, 9] if code > 0 else [6, 9])
    assert read_metrics(directory.path / "metrics.jsonl")[0]["step"] == 3
    accuracies = [row["test/accuracy"] for row in run.history if "test/accuracy" in row]
    assert accuracies == [directory.read_json("status.json")["metrics"]["test/accuracy"]]
    assert any("test/confusion_matrix" in row for row in run.history)


def test_a_dead_server_costs_nothing_but_a_line(folder: Path, server: FakeWandb) -> None:
    os.environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"
    try:
        ended = aiexp(folder, "run", *WORDS)
    finally:
        os.environ["WANDB_BASE_URL"] = server.url
    assert ended.code == 0, ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "W&B offline" in ended.stderr
    assert "wandb sync" in ended.stderr
    required = aiexp(folder, "run", *WORDS, "tracker.mode=required", before=lambda: os.environ.update(dead()))
    assert required.code == 5
    assert required.stderr.count("\n") == 1


def test_a_sweep_says_how_to_look_at_all_its_jobs_and_to_upload_them(folder: Path, home: Path) -> None:
    ended = aiexp(folder, "run", "-m", *WORDS, "seed=0,1", "tracker.mode=offline")
    assert ended.code == 0, ended.stderr
    [sweep] = (folder / "outputs/bert_finetune").glob("*_sweep_*")
    shown = sweep.relative_to(folder)
    said = [line.removeprefix("aiexp: ") for line in ended.stderr.splitlines()]
    assert f"look  wandb leet {shown}/.wandb" in said
    [upload] = [line.removeprefix("send  ") for line in said if line.startswith("send  ")]
    assert upload == f"wandb sync {shown}/*/wandb/offline-run-*"
    assert len(list((sweep / ".wandb").iterdir())) == 2
    with FakeWandb() as server:
        command = f"{Path(sys.executable).parent}/{upload}"
        subprocess.run(
            command, shell=True, check=True, capture_output=True, cwd=folder, env=os.environ | server.env()
        )
        assert {run.config["seed"] for run in server.runs.values()} == {0, 1}
        assert {run.exit_code for run in server.runs.values()} == {0}


def dead() -> dict[str, str]:
    """A port that nobody listens on."""
    return {"WANDB_BASE_URL": "http://127.0.0.1:9"}
