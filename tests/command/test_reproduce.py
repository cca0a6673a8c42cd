"""`aiexp reproduce`: the same numbers, or which one differs first, and what else is not as it was."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.then import changed_patches
from tests.command.own_runs import aiexp, latest, run

KEPT = ["trainer.epochs=2", "trainer.checkpoint.keep_last=10"]


@pytest.fixture
def trained(folder: Path) -> RunDirectory:
    return run("outputs", *KEPT)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and not p.name.startswith("std")
    }


def edit(directory: RunDirectory, **changes: Any) -> None:
    path = directory.path / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def reproduce(*words: str, code: int = 0) -> str:
    ended = aiexp("reproduce", *words)
    assert ended.code == code, ended.stdout + ended.stderr
    return ended.stdout


def test_a_run_is_identical_and_nothing_is_written(trained: RunDirectory, folder: Path) -> None:
    before = files(folder)
    said = reproduce("outputs/latest")
    assert "code      as it was, by sha256: aiexp's code and that of the run's own\n" in said
    assert "result    identical until step 15: 12 numbers, bit for bit" in said
    assert "versions  as they were" in said
    assert "hardware  as they were" in said
    assert "identical until step 20" in reproduce("outputs/latest", "--steps", "100")
    assert "identical until step 5:" in reproduce("outputs/latest", "--steps", "7")
    assert files(folder) == before


def test_the_first_number_that_differs_is_named_with_both_values(trained: RunDirectory) -> None:
    path = trained.path / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    (line,) = (line for line in lines if line["step"] == 10 and "train/loss" in line)
    right, line["train/loss"] = line["train/loss"], line["train/loss"] + 1e-9
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = reproduce("outputs/latest", code=4)
    expected = f"at step 10: train/loss {line['train/loss']!r} then, {right!r} now"
    assert f"result    identical until step 5; differs {expected}\n" in said


def git(*words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


def test_changed_code_is_named(folder: Path) -> None:
    git("init")
    git("add", "conf", "my_lab")
    git("commit", "-m", "one")
    run("outputs", *KEPT)
    assert "code      as it was: commit " in reproduce("outputs/latest")
    path = folder / "my_lab/nets.py"
    path.write_text(path.read_text().replace("torch.tanh", "torch.relu"))
    said = reproduce("outputs/latest", code=4)
    assert "code      the run's own code differs: my_lab/nets.py" in said
    assert "code      files differ: my_lab/nets.py" in said
    assert "nothing is identical; differs at step 5: train/loss" in said
    git("commit", "-am", "two")
    assert " now\ncode      files differ: my_lab/nets.py" in reproduce("outputs/latest", code=4)


def test_only_patches_that_differ_are_named() -> None:
    one, two, three = (f"diff --git a/{n}.py b/{n}.py\n+{n}\n" for n in ("one", "two", "three"))
    assert changed_patches(one + two, one + two) == []
    assert changed_patches(one + two, one + two.replace("+", "-") + three) == ["two.py", "three.py"]


def test_other_versions_and_another_machine_are_named(trained: RunDirectory) -> None:
    environment = trained.read_json("environment.json")
    edit(
        trained,
        packages=environment["packages"] | {"torch": "1.0", "gone": "2"},
        hardware=environment["hardware"] | {"threads": 64},
        source="0123456789",
    )
    said = reproduce("outputs/latest")
    assert "versions  torch 1.0 then, " in said
    assert "gone 2 then, missing now" in said
    assert f"aiexp's own files differ: sha256 01234567 then, {environment['source'][:8]} now\n" in said
    assert "code      the run was started outside of a git checkout: nothing more is known of it\n" in said
    assert "hardware  threads 64 then, 1 now" in said


def test_what_it_was_trained_on_or_started_from_is_gone_or_another(trained: RunDirectory) -> None:
    copy = Path(shutil.copytree(trained.path, "copy"))
    child = run("outputs", "trainer.epochs=1", "start_from=copy")
    assert "identical until step 10" in reproduce(str(child.path))
    edit(RunDirectory(copy), dataset={"fingerprint": "other"})
    assert "the data set is not the one" in aiexp("reproduce", str(copy)).stderr
    assert aiexp("reproduce", str(copy)).code == 3
    (copy / "checkpoints/step-00000020/model.safetensors").unlink()
    ended = aiexp("reproduce", str(child.path))
    assert (ended.code, "started from: step 20 (" in ended.stderr) == (4, True), ended.stderr
    shutil.rmtree(copy)
    ended = aiexp("reproduce", str(child.path))
    assert (ended.code, ended.stderr.count("error[")) == (4, 1)
    assert "no such run directory | start_from=copy" in ended.stderr


def test_a_branch_is_trained_from_where_it_branched_off(trained: RunDirectory) -> None:
    ended = aiexp("branch", "outputs/latest", "--step", "10", "task.lr=0.01", "trainer.epochs=3")
    assert ended.code == 0, ended.stderr
    child = latest("outputs")
    assert "identical until step 25" in reproduce("outputs/latest")
    shutil.rmtree(child.path / "checkpoints/step-00000010")
    ended = aiexp("reproduce", "outputs/latest")
    assert (ended.code, f"fix: aiexp reproduce {trained.path}" in ended.stderr) == (4, True), ended.stderr


def test_a_run_that_was_resumed_with_other_settings_says_so(trained: RunDirectory) -> None:
    assert "resumed" not in reproduce("outputs/latest")
    assert aiexp("resume", "outputs/latest", "trainer.epochs=3").code == 0
    said = aiexp("reproduce", "outputs/latest").stdout
    assert "(resumed with trainer.epochs=3: its first steps may have been trained without)" in said


def test_what_cannot_be_reproduced_is_one_line(trained: RunDirectory) -> None:
    for words, code, said in (
        (["nowhere"], 4, "no such run directory"),
        (
            ["outputs/latest", "--steps", "3"],
            2,
            "first numbers at step 5 | --steps 3 | fix: --steps 5 or more",
        ),
        (["outputs/latest", "--steps", "0"], 2, "--steps is '0'"),
        (["outputs/latest", "task.lr=1"], 2, "with other settings it is aiexp branch"),
    ):
        ended = aiexp("reproduce", *words)
        assert (ended.code, ended.stderr.count("error[")) == (code, 1), ended.stderr
        assert said in ended.stderr
    (trained.path / "metrics.jsonl").unlink()
    ended = aiexp("reproduce", "outputs/latest")
    assert (ended.code, "the run has written no metrics" in ended.stderr) == (4, True)
