"""What W&B gets beside metrics: no secrets. The real client, a server on loopback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.tracker.base import RunInfo
from tests.tracker.conftest import make_tracker
from tests.tracker.fake_wandb import FakeWandb
from tests.tracker.wandb_file import read_records

MakeRun = Callable[..., RunInfo]
SECRET = "hf_Abcdefghij0123456789"
ENVIRONMENT = {
    "command": "aiexp run task=mnist_cnn task.hf_token=*** 'tracker.notes=my note'",
    "argv": ["aiexp", "run", "task=mnist_cnn", "task.hf_token=***", "tracker.notes=my note"],
    "hostname": "node7",
    "platform": "Linux-6.1",
    "python": "3.11.7",
    "packages": {"torch": "2.14.1", "numpy": "2.4.6"},
    "git": {"commit": "c0ffee", "status": ""},
    "cores": 2,
    "memory_bytes": 10**9,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose address holds a password."""
    folder = tmp_path / "code"
    folder.mkdir()
    address = f"https://me:{SECRET}@git.example.org/lab/code.git"
    for words in (["init", "-q"], ["remote", "add", "origin", address]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def described(run: RunInfo, checkout: Path) -> dict[str, Any]:
    """Writes a diff and a log as a session does; returns environment.json."""
    (run.directory / "git.diff").write_text("+token = ***\n")
    (run.directory / "run.log").write_text("2026-01-01 12:00:00 an earlier process\n")
    return {**ENVIRONMENT, "working_directory": str(checkout)}


def say(run: RunInfo, line: str) -> None:
    with (run.directory / "run.log").open("a") as file:
        file.write(f"2026-01-01 12:00:01 {line}\n")


def test_code_command_console_and_packages_arrive(
    server: FakeWandb, make_run: MakeRun, checkout: Path
) -> None:
    environment = described(make_run(), checkout)
    run = make_run(environment=environment, log_bytes=(make_run().directory / "run.log").stat().st_size)
    say(run, "dataset   mnist: 10 train")
    tracker = make_tracker(notes="a first try")
    record = tracker.start(run)
    tracker.log(1, {"train/loss": 1.0})
    say(run, "error[data]: the last line")
    tracker.close(3)

    found = server.runs[record["id"]]
    assert found.fields["notes"] == "a first try"
    assert (found.fields["commit"], found.fields["repo"]) == (
        "c0ffee",
        "https://git.example.org/lab/code.git",
    )
    assert found.fields["host"] == "node7"
    metadata = json.loads(found.files["wandb-metadata.json"])
    assert metadata["args"] == ["run", "task=mnist_cnn", "task.hf_token=***", "tracker.notes=my note"]
    assert (metadata["host"], metadata["python"], metadata["git"]["commit"]) == ("node7", "3.11.7", "c0ffee")
    assert found.files["requirements.txt"] == b"torch==2.14.1\nnumpy==2.4.6\n"
    assert found.files["diff.patch"] == b"+token = ***\n"
    lines = [line.partition(" ")[2] for line in found.console]  # W&B's time before each
    assert lines == ["dataset   mnist: 10 train", "error[data]: the last line"]
    assert server.unknown == []
    everything = repr((found.fields, found.files, found.console))
    assert SECRET not in everything
    assert "me:" not in everything


@pytest.mark.parametrize("part", ["git", "command", "console", "requirements"])
def test_each_part_can_be_left_out(part: str, server: FakeWandb, make_run: MakeRun, checkout: Path) -> None:
    run = make_run(environment=described(make_run(), checkout))
    rest = [p for p in ("git", "command", "console", "requirements") if p != part]
    tracker = make_tracker(record=rest)
    record = tracker.start(run)
    tracker.close(0)
    found = server.runs[record["id"]]
    metadata = json.loads(found.files["wandb-metadata.json"])
    there = {
        "git": "commit" in found.fields or "git" in metadata or "diff.patch" in found.files,
        "command": bool(found.fields.get("host")) or "args" in metadata,
        "console": bool(found.console),
        "requirements": "requirements.txt" in found.files,
    }
    assert there == {p: p != part for p in there}


def test_secrets_of_the_environment_are_masked_in_notes(
    server: FakeWandb, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "open-sesame-1")
    tracker = make_tracker(notes="with open-sesame-1")
    record = tracker.start(make_run())
    tracker.close(0)
    assert server.runs[record["id"]].fields["notes"] == "with ***"


def test_best_values_outlive_a_resumption(server: FakeWandb, make_run: MakeRun) -> None:
    run = make_run()
    RunDirectory.at(run.directory).write_status(better={"eval/return": "max", "eval/error": "min"})
    lines = [{"step": 1, "eval/return": 1.0, "eval/error": 0.5}, {"step": 2, "eval/return": 0.9}]
    tracker = make_tracker()
    record = tracker.start(run)
    for line in lines:
        tracker.log(int(line["step"]), {k: v for k, v in line.items() if k != "step"})
    tracker.close(143)
    (run.directory / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    again = make_tracker()
    again.start(make_run(previous=record))
    again.log(3, {"eval/return": 0.7, "eval/error": 0.1})
    again.close(0)
    summary = server.runs[record["id"]].summary
    assert (summary["best/eval/return"], summary["best/eval/error"]) == (1.0, 0.1)
    assert summary["eval/return"] == 0.7


@pytest.mark.parametrize(("which", "step"), [("best", 2), ("last", 4), ("none", None)])
def test_weights_of_a_complete_run(
    which: str, step: int | None, server: FakeWandb, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run()
    directory = RunDirectory.at(run.directory)
    directory.write_status(best_step=2)
    (run.directory / "config.yaml").write_text("seed: 1\n")
    for number in (2, 4):
        folder = run.directory / "checkpoints" / f"step-{number:08d}"
        folder.mkdir(parents=True)
        for name in ("model.safetensors", "training.safetensors", "manifest.json"):
            (folder / name).write_text(f"{name} of {number}")
    for exit_code in (143, 0):  # one that is stopped will go on
        tracker = make_tracker(save_model=which)
        tracker.start(make_run(previous={"id": run.id} if exit_code == 0 else None))
        tracker.close(exit_code)
        if exit_code:
            assert server.artifacts == {}
    if step is None:
        assert server.artifacts == {}
        return
    [artifact] = server.artifacts.values()
    assert (artifact["state"], artifact["artifactCollectionName"]) == ("COMMITTED", f"model-{run.id}")
    assert artifact["artifactTypeName"] == "model"
    assert sorted(artifact["files"]) == ["config.yaml", "model.safetensors"]
    assert json.loads(artifact["metadata"])["step"] == step
    assert {alias["alias"] for alias in artifact["aliases"]} >= {"latest", f"step-{step}"}


def test_weights_of_an_offline_run_stay_when_its_checkpoints_go(home: Path, make_run: MakeRun) -> None:
    run = make_run()
    checkpoint = run.directory / "checkpoints/step-00000002"
    checkpoint.mkdir(parents=True)
    for name in ("model.safetensors", "training.safetensors", "manifest.json"):
        (checkpoint / name).write_text(f"{name} of 2")
    tracker = make_tracker(mode="offline", save_model="last")
    tracker.start(run)
    tracker.close(0)
    shutil.rmtree(checkpoint)  # the run goes on, and keeps its newest
    [path] = run.directory.glob("wandb/offline-run-*/*.wandb")
    [artifact] = [r.artifact for r in read_records(path) if r.WhichOneof("record_type") == "artifact"]
    held = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert held["model.safetensors"].read_text() == "model.safetensors of 2"
    assert held["model.safetensors"].is_absolute()


@pytest.mark.parametrize(("which", "monitor"), [("best", None), ("best", "eval/loss"), ("last", None)])
def test_best_weights_of_a_run_that_judges_none_are_spoken_of(
    which: str, monitor: str | None, home: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = make_tracker(mode="offline", save_model=which)
    tracker.start(make_run(config={"trainer": {"selection": {"monitor": monitor, "mode": "max"}}}))
    tracker.close(0)
    notes = [line for line in capsys.readouterr().err.splitlines() if "uploads the last weights" in line]
    assert len(notes) == (which == "best" and monitor is None)


def test_wandb_leet_reads_a_folder_of_runs(home: Path, make_run: MakeRun, tmp_path: Path) -> None:
    runs = tmp_path / "outputs" / "toy"
    for number in (1, 2):
        directory = runs / f"run{number}"
        directory.mkdir(parents=True)
        tracker = make_tracker(mode="offline")
        record = tracker.start(make_run(directory=directory, id=f"id{number}"))
        tracker.log(1, {"train/loss": float(number)})
        tracker.close(0)
        assert record["look"] == f"wandb leet {os.path.relpath(runs)}/.wandb"
    links = sorted((runs / ".wandb").iterdir())
    assert [link.name for link in links] == [
        folder.name for n in (1, 2) for folder in (runs / f"run{n}/wandb").glob("offline-run-*")
    ]
    assert all(not os.readlink(link).startswith("/") for link in links), "the folder can be moved"
    for link in links:
        done = subprocess.run(
            [Path(sys.executable).parent / "wandb", "leet", "inspect", "--summary", "--json", str(link)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "train/loss" in done.stdout
    (runs / "run1").rename(tmp_path / "gone")
    tracker = make_tracker(mode="offline")
    (runs / "run3").mkdir()
    tracker.start(make_run(directory=runs / "run3", id="id3"))
    tracker.close(0)
    assert len(list((runs / ".wandb").iterdir())) == 2, "links to runs that are gone go too"


def test_prepared_and_refused_leaves_no_run_and_no_process(home: Path, make_run: MakeRun) -> None:
    import wandb

    tracker = make_tracker(mode="offline")
    tracker.prepare(make_run().directory)
    connection: Any = wandb.setup()._connection
    process = connection._proc._process
    assert process.poll() is None
    tracker.close(2)
    assert process.wait(10) is not None
    assert not (make_run().directory / "wandb").exists()
