"""aiexp without its command line: what `import aiexp` offers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import aiexp
from aiexp.errors import CheckpointError, ConfigError, DataError
from aiexp.rundir.state import State
from tests.forks import in_fork
from tests.use.trained_runs import QUICK

PROGRAM = """
import sys
import aiexp
run = aiexp.load(sys.argv[1])
assert run.config["task"] and run.test["accuracy"] >= 0 and run.figures and len(run.metrics()) and repr(run)
assert not {"torch", "wandb", "transformers"} & sys.modules.keys(), "heavy"
import aiexp.run
assert callable(aiexp.run) and callable(aiexp.runs) and callable(aiexp.compare)
"""


def test_results_are_there_without_torch(pictures: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(pictures)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_loaded_run_predicts_as_the_command_does(texts: Path) -> None:
    run = aiexp.load(texts)
    one, two = run.predict(["a great film", "dull"])
    assert run.predict("dull") == [two]
    assert one.values["label"] in run.task.class_names  # pyright: ignore[reportOperatorIssue]
    assert isinstance(run.task, torch.nn.Module)
    with pytest.raises(DataError, match="value 1"):
        run.predict(["fine", ""])
    with pytest.raises(ConfigError, match="no --count"):
        run.predict(["fine"], count=3)
    with pytest.raises(ConfigError, match="a text is wanted"):
        run.predict()
    with pytest.raises(CheckpointError):
        aiexp.load(texts.parent)


def test_what_is_of_the_wrong_type_is_said_in_a_line(pictures: Path) -> None:
    anything: Any = aiexp
    run = anything.load(pictures)
    assert run.predict([]) == []
    for call, said in (
        (lambda: anything.load(3), "this is a int, and the path of a run is wanted | aiexp.load"),
        (lambda: anything.load(run), "this is a Run, and the path of a run is wanted"),
        (lambda: anything.load(pictures, step="4"), "this is a str, and step=N is wanted"),
        (lambda: run.predict(3), "this is a int, and a list of values is wanted | Run.predict"),
        (
            lambda: run.predict(["a.png"], batch_size=0),
            "batch_size is 0 | Run.predict | fix: a number from 1",
        ),
        (lambda: anything.run(["task=mnist_cnn"]), 'this is a list, and "KEY=VALUE" is wanted | aiexp.run'),
        (lambda: anything.runs(3), 'this is a int, and "KEY=VALUE" is wanted | aiexp.runs'),
        (lambda: anything.compare([run]), "this is a list, and a run or a path is wanted | aiexp.compare"),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert said in str(caught.value)


def test_a_run_whose_process_is_gone_has_died(pictures: Path, tmp_path: Path) -> None:
    run = aiexp.load(shutil.copytree(pictures, tmp_path / "run"))
    run.directory.write_status(state=State.RUNNING)
    assert run.state == "died"
    assert "mnist_cnn, died, test/accuracy" in repr(run)


def test_a_notebook_completes_what_there_is_to_use() -> None:
    assert [name for name in dir(aiexp) if not name.startswith("_")] == sorted(aiexp.__all__)


def test_metrics_are_arrays_where_there_is_no_pandas(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = aiexp.load(pictures)
    table = run.metrics()
    monkeypatch.setitem(sys.modules, "pandas", None)
    arrays = run.metrics()
    assert arrays["step"].tolist() == table.index.tolist()
    assert arrays.keys() - {"step"} == set(table.columns)


def test_runs_are_found_and_compared(pictures: Path) -> None:
    outputs = pictures.parents[1]
    (found,) = aiexp.runs("task=mnist_cnn", "state=finished", outputs=outputs)
    assert found.path == pictures
    assert aiexp.runs("seed=77", outputs=outputs) == []
    with pytest.raises(ConfigError, match="no run has the key 'sed'"):
        aiexp.runs("sed=1", outputs=outputs)
    (group,) = aiexp.compare(found).groups
    assert [record.path for record in group.records] == [pictures]
    with pytest.raises(DataError, match="no runs found"):
        aiexp.compare(outputs / "nothing")


def test_a_run_is_trained_and_mistakes_are_raised(pictures: Path, tmp_path: Path) -> None:
    folder = pictures.parents[2] / "pictures"
    words = ["task=mnist_cnn", "dataset=image_folder", f"dataset.train_folder={folder}", *QUICK]
    words += ["dataset.image_size=20", "dataset.channels=1", "dataset.mean=[0.5]", "dataset.std=[0.25]"]

    def body() -> int:
        os.chdir(tmp_path)
        run = aiexp.run(*words)
        assert run.state == "finished"
        assert run.path.is_relative_to(tmp_path)
        assert run.predict([next(folder.rglob("*.png"))])[0].values["label"]
        with pytest.raises(ConfigError, match="nosuch"):
            aiexp.run("task=nosuch")
        return 0

    ended = in_fork(body, tmp_path, seconds=120)
    assert ended.code == 0, ended.stderr
