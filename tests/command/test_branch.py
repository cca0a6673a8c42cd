"""`aiexp branch`: what the parent was from a checkpoint on, or with another setting; the parent stays."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from aiexp.checkpoint.manifest import weights_digest
from aiexp.checkpoint.store import CheckpointStore
from aiexp.errors import ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.record import read_record
from aiexp.runs.branching import check_memory, memory
from tests.command.own_runs import aiexp, latest, lines, run
from tests.endings import digest

KEPT = ["trainer.epochs=3", "trainer.checkpoint.keep_last=10", "trainer.selection.monitor=eval/accuracy"]


@pytest.fixture
def parent(folder: Path) -> RunDirectory:
    return run("outputs", *KEPT)


def branch(*words: str) -> RunDirectory:
    ended = aiexp("branch", *words)
    assert ended.code == 0, ended.stderr
    return latest("outputs")


def content(directory: RunDirectory) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in directory.path.rglob("*") if p.is_file() and p.name != ".lock"}


def saved(directory: RunDirectory, step: int) -> tuple[dict[str, Any], Any]:
    return CheckpointStore(directory.path / "checkpoints").load(step)


def test_with_nothing_changed_it_is_the_parent_bit_for_bit(parent: RunDirectory) -> None:
    before = content(parent)
    ended = aiexp("branch", "outputs/latest", "--step", "15")
    assert "at step 15: nothing changed, so this repeats it" in ended.stdout + ended.stderr
    child = latest("outputs")
    assert child.path != parent.path
    assert content(parent) == before
    assert lines(child) == lines(parent)
    assert digest(child) == digest(parent)
    ours, theirs = (d.read_json("status.json") for d in (child, parent))
    assert ours["metrics"] == theirs["metrics"]
    assert (ours["state"], ours["step"], ours["best_step"]) == ("finished", 30, theirs["best_step"])
    environments = [d.read_json("environment.json") for d in (child, parent)]
    assert environments[0]["parent"] == {
        "path": str(parent.path),
        "run_id": environments[1]["run_id"],
        "step": 15,
        "sha256": weights_digest(parent.path / "checkpoints/step-00000015"),
        "history": ["step 15: nothing changed"],
    }
    assert environments[0]["run_id"] != environments[1]["run_id"]


@pytest.mark.parametrize("typed", [[], ["task.lr=0.05"]])
def test_a_copy_is_refused_before_it_is_made(parent: RunDirectory, typed: list[str]) -> None:
    before = content(parent)
    ended = aiexp("branch", "outputs/latest", *typed)
    assert (ended.code, ended.stderr.count("error[")) == (2, 1), ended.stderr
    assert "nothing is changed: this would be a copy of the run" in ended.stderr
    assert "aiexp resume outputs/latest" in ended.stderr
    assert (content(parent), len(list(parent.path.parent.iterdir()))) == (before, 1)


def test_another_learning_rate_counts_from_that_step_on(parent: RunDirectory) -> None:
    child = branch(str(parent.path), "--step", "15", "task.lr=0.001")
    rates = {line["step"]: line["train/learning_rate"] for line in lines(child) if "train/loss" in line}
    assert rates == {5: 0.05, 10: 0.05, 15: 0.05, 20: 0.001, 25: 0.001, 30: 0.001}
    until = [line for line in lines(parent) if line["step"] <= 15]
    assert lines(child)[: len(until)] == until
    assert child.read_config()["task"]["lr"] == 0.001
    record = read_record(child.path)
    assert record.config["branched"] == "step 15: task.lr: 0.05 -> 0.001"
    assert "branched" not in read_record(parent.path).config
    again = branch(str(child.path), "--step", "20", "trainer.epochs=4", "task.lr=0.01")
    history = "step 15: task.lr: 0.05 -> 0.001; step 20: trainer.epochs: 3 -> 4, task.lr: 0.001 -> 0.01"
    assert sorted(read_record(again.path).config["branched"]) == sorted(history)


def test_what_a_task_has_changed_on_the_way_stays(parent: RunDirectory) -> None:
    """Only what differs between the configs is written over what was saved."""
    child = branch(str(parent.path), "--step", "30", "task.lr=0.001")
    (ours,), (theirs,) = (
        saved(d, 30)[1]["stepper"]["optimizers"]["model"]["param_groups"] for d in (child, parent)
    )
    assert {key for key in ours if ours[key] != theirs[key]} == {"lr", "initial_lr"}
    assert all(torch.equal(v, saved(child, 30)[0][n]) for n, v in saved(parent, 30)[0].items())


def test_a_branch_is_resumed_without_its_parent(parent: RunDirectory) -> None:
    child = branch(str(parent.path), "--step", "10", "task.lr=0.001", "trainer.epochs=2")
    whole = branch(str(parent.path), "--step", "10", "task.lr=0.001")
    shutil.rmtree(parent.path)
    ended = aiexp("resume", str(child.path), "trainer.epochs=3")
    assert ended.code == 0, ended.stderr
    assert digest(child) == digest(whole)


OTHER_MEMORY = "this changes what the optimizer 'model' remembers: max_exp_avg_sq, which the checkpoint does"
WRONG = [
    (["--step", "7"], 4, "no checkpoint of step 7 | {run} | fix: there are 5, 10, 15, 20, 25, 30"),
    (["--step", "x"], 2, "--step is 'x'"),
    (["seed=1"], 2, "seed: 0 -> 1: cannot change when branching off"),
    (["dataset.batch_size=8"], 2, "dataset.batch_size: 4 -> 8: cannot change when branching off"),
    (["task.lrr=1"], 2, "unknown key 'task.lrr'. Did you mean 'task.lr'?"),
    (
        ["model.blocks.first=64"],
        2,
        "this changes the networks: model.blocks.first.weight: (32, 32) -> (64, 32)",
    ),
    (["task.amsgrad=true"], 2, OTHER_MEMORY),
    (["task.lr=x"], 2, "'task.lr' is 'x'"),
    (["task.lr"], 2, "aiexp branch takes one run, not 2"),
]


def test_what_cannot_be_is_one_line_and_leaves_nothing(parent: RunDirectory) -> None:
    for words, code, said in WRONG:
        ended = aiexp("branch", str(parent.path), *words)
        assert (ended.code, ended.stderr.count("error[")) == (code, 1), ended.stderr
        assert said.format(run=parent.path) in ended.stderr
        assert latest("outputs").path == parent.path
        assert len(list(parent.path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"momentum": 0.0}, {"momentum": 0.9}, "momentum_buffer, which the checkpoint does not hold"),
        (
            {"momentum": 0.9},
            {"momentum": 0.0},
            "momentum_buffer, which the checkpoint holds, and nobody would",
        ),
        ({"momentum": 0.9}, {"momentum": 0.5, "weight_decay": 0.1, "nesterov": True}, ""),
    ],
)
def test_settings_that_need_another_memory_are_told_from_others(
    before: dict[str, Any], after: dict[str, Any], said: str
) -> None:
    remembered = [
        memory({"model": torch.optim.SGD(torch.nn.Linear(2, 3).parameters(), lr=0.1, **settings)})
        for settings in (before, after)
    ]
    with pytest.raises(ConfigError, match=f"'model' remembers: {said}") if said else nullcontext():
        check_memory(*remembered)


def test_a_damaged_checkpoint_or_metrics_that_were_edited(parent: RunDirectory) -> None:
    weights = parent.path / "checkpoints/step-00000010/training.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    ended = aiexp("branch", str(parent.path), "--step", "10")
    assert (ended.code, "were written" in ended.stderr) == (4, True), ended.stderr
    metrics = parent.path / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace("1", "2"))
    ended = aiexp("branch", str(parent.path), "--step", "15")
    assert (ended.code, "are not those that the checkpoint was written after" in ended.stderr) == (4, True)
    assert list(parent.path.parent.iterdir()) == [parent.path]


def test_no_run_at_all(folder: Path) -> None:
    ended = aiexp("branch", "nowhere")
    assert (ended.code, "no such run directory" in ended.stderr) == (4, True)
    assert aiexp("branch").stdout.startswith("usage: aiexp branch")
