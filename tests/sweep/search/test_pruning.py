"""Runs that their search ends: the trainer asks after each evaluation, the study's pruner answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.checkpoint.state import seed_everything
from aiexp.errors import StorageError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.session.session import Session
from aiexp.sweep.search.pruning import StudyPruning, job_pruning
from aiexp.sweep.search.search import Search
from aiexp.sweep.search.settings import SEARCH
from aiexp.sweep.search.study import JOURNAL, load_study, open_study
from aiexp.trainer.loop import Loop
from tests.forks import in_fork
from tests.sweep.search.test_search import make_settings, result, space_of
from tests.test_run import TINY, folder
from tests.toys import Classify, Points, make_hardware, make_trainer, new_run

__all__ = ["folder"]  # fixture


class Scripted:
    """Prunes at a step, and keeps what it was told."""

    def __init__(self, at: int | None, error: Exception | None = None) -> None:
        self.at, self.error, self.told = at, error, list[tuple[int, float]]()

    def report(self, step: int, metrics: dict[str, float]) -> bool:
        self.told.append((step, metrics["eval/accuracy"]))
        if self.error is not None:
            raise self.error
        return step == self.at


def train(directory: RunDirectory, pruning: Any, **changes: Any) -> dict[str, Any]:
    """Trains the toy, evaluated every 4 of 24 steps; its status."""
    seed_everything(0)
    with Session(directory, directory.read_config(), pruning) as session:
        metrics = make_trainer(**changes).fit(Classify(), Points(), make_hardware(), session)  # pyright: ignore
        session.finish(metrics)
    return directory.read_json("status.json")


def test_a_pruned_run_ends_well_tests_nothing_and_keeps_everything(tmp_path: Path) -> None:
    directory, pruning = new_run(tmp_path), Scripted(at=8)
    status = train(directory, pruning)
    assert (status["state"], status["exit_code"], status["step"]) == ("pruned", 0, 8)
    lines = read_metrics(directory.path / "metrics.jsonl")
    evaluations = [(line["step"], line["eval/accuracy"]) for line in lines if "eval/accuracy" in line]
    assert evaluations == pruning.told
    assert [step for step, _ in evaluations] == [4, 8]
    assert status["metrics"]["eval/accuracy"] == max(a for _, a in evaluations)
    assert not any(name.startswith("test/") for name in status["metrics"])
    assert (directory.path / "checkpoints/step-00000008").is_dir()
    assert "pruned at step 8" in (directory.path / "run.log").read_text()
    # What it had learned is there: with the search out of the way it goes on to the same end.
    whole = new_run(tmp_path, "whole")
    assert train(directory, None)["metrics"] == train(whole, None)["metrics"]


def test_the_last_evaluation_prunes_nothing(tmp_path: Path) -> None:
    pruning = Scripted(at=24)
    status = train(new_run(tmp_path), pruning)
    assert status["state"] == "finished"
    assert "test/accuracy" in status["metrics"]
    assert [step for step, _ in pruning.told] == [4, 8, 12, 16, 20, 24]


def test_a_study_in_trouble_does_not_harm_the_run(tmp_path: Path) -> None:
    directory, pruning = new_run(tmp_path), Scripted(at=4, error=StorageError("no space left", where="x"))
    assert train(directory, pruning)["state"] == "finished"
    assert len(pruning.told) == 1
    assert (directory.path / "run.log").read_text().count("not pruned any more: no space left") == 1


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_studys_pruner_judges_by_the_evaluations_so_far(tmp_path: Path, pruner: str) -> None:
    settings = make_settings(
        pruner=pruner, startup_trials=2, objectives=["eval/accuracy"], directions=["max"]
    )
    search = Search(open_study(tmp_path, settings), space_of(), settings)
    for index in range(4):
        search.next_job()
        pruning = job_pruning(tmp_path, index)
        assert pruning is not None
        for step in (40, 80, 120, 160):
            assert not pruning.report(step, {"eval/accuracy": 0.9})
        search.ended(index, result(index, eval_accuracy=0.9))
    search.next_job()
    pruning = StudyPruning(tmp_path, 4, "eval/accuracy")  # batches twice as large: half the steps
    answers = [pruning.report(step, {"eval/accuracy": 0.1, "eval/loss": 1.0}) for step in (20, 40, 60)]
    assert any(answers)
    assert pruning.report(20, {"test/accuracy": 0.1}) is False
    assert load_study(tmp_path).trials[4].intermediate_values == {1: 0.1, 2: 0.1, 3: 0.1}
    # Resumed from the checkpoint of step 20, it repeats the second evaluation.
    again = StudyPruning(tmp_path, 4, "eval/accuracy")
    again.report(40, {"eval/accuracy": 0.2})
    trial = load_study(tmp_path).trials[4]
    assert trial.user_attrs["evaluated_at"] == [20, 40]
    assert trial.intermediate_values[2] == 0.2
    search.ended(4, result(4, state="pruned", eval_accuracy=0.2))
    assert load_study(tmp_path).trials[4].state.name == "PRUNED"
    assert again.report(60, {"eval/accuracy": 0.0}) is False  # resumed alone, after its search


def test_warmup_evaluations_prune_nothing(tmp_path: Path) -> None:
    settings = make_settings(pruner="median", startup_trials=1, warmup_evaluations=2)
    search = Search(open_study(tmp_path, settings), space_of(), settings)
    answers: list[bool] = []
    for index, loss in enumerate((1.0, 9.0)):
        search.next_job()
        pruning = StudyPruning(tmp_path, index, "eval/loss")
        answers = [pruning.report(step, {"eval/loss": loss}) for step in (1, 2, 3)]
        search.ended(index, result(index, eval_loss=loss))
    assert answers == [False, False, True]


def test_only_searches_with_such_a_pruner_are_asked(tmp_path: Path) -> None:
    assert job_pruning(tmp_path, 0) is None
    for pruner in ("none", "wilcoxon"):
        (tmp_path / SEARCH).write_text(json.dumps({"pruner": pruner, "objectives": ["eval/loss"]}))
        assert job_pruning(tmp_path, 0) is None
    assert not (tmp_path / JOURNAL).exists()


def test_resume_says_that_a_run_was_pruned(folder: Path) -> None:
    words = [*TINY, "trainer.steps=4", "trainer.epochs=null"]

    def prune() -> None:
        Loop.run = lambda self: setattr(self.session, "is_pruned", True) or {}  # pyright: ignore

    def body() -> int:
        prune()
        return cli.main(["run", *words])

    assert in_fork(body, folder).code == 0
    ended = in_fork(lambda: cli.main(["resume", "outputs/latest"]), folder)
    assert ended.code == 0, ended.stderr
    assert ended.stdout.startswith("pruned by its search")
