"""A trained task is as good as its run says, and as good as it is elsewhere, untrained, and with others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiexp.errors import AiexpError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import STATUS
from aiexp.use.evaluating.candidate import Candidate, load_candidate
from aiexp.use.evaluating.evaluating import Outcome, Request, evaluate_runs
from aiexp.use.evaluating.overheard import evaluate_once
from aiexp.use.evaluating.scores import score
from aiexp.use.evaluating.shown import WIDTH, shown
from aiexp.use.evaluating.written import RECORD, write_outcome
from aiexp.use.progress import unheard
from tests.use.trained_runs import pictures_run, texts_run, train


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts_run(tmp_path_factory.mktemp("texts"), "task.optimizer.lr=0.001")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures_run(tmp_path_factory.mktemp("pictures"))


def evaluated(*runs: Path, **request: Any) -> Outcome:
    said: list[str] = []
    outcome = evaluate_runs(runs, Request(**request), said.append)
    assert len(said) == (len(runs) if runs[1:] else 0)
    assert all(len(line) <= WIDTH for line in shown(outcome).splitlines())
    return outcome


def ended_with(run: Path, split: str) -> dict[str, float]:
    """The metrics of a split that a run has stored."""
    metrics: dict[str, float] = RunDirectory.open(run).read(STATUS)["metrics"]
    return {n.removeprefix(f"{split}/"): v for n, v in metrics.items() if n.startswith(f"{split}/")}


@pytest.mark.parametrize("kind", ["texts", "pictures"])
@pytest.mark.parametrize("split", ["test", "eval"])
def test_the_same_data_give_the_metrics_of_the_run_to_the_last_digit(
    kind: str, split: str, request: pytest.FixtureRequest
) -> None:
    run: Path = request.getfixturevalue(kind)
    outcome = evaluated(run, split=split)
    (result,) = outcome.results
    assert result.evaluation.metrics == ended_with(run, split)
    assert result.at_the_end == result.evaluation.metrics
    assert "The same to the last digit." in shown(outcome)
    assert {"confusion_matrix"} <= result.evaluation.pictures.keys()


def test_scores_are_those_that_the_evaluation_counts(texts: Path) -> None:
    scores = score(load_candidate(texts, [], None, print), "test")
    assert scores.hits.mean() == pytest.approx(ended_with(texts, "test")["accuracy"])
    assert scores.loss == pytest.approx(ended_with(texts, "test")["loss"], abs=1e-6)


@pytest.mark.parametrize("kind", ["texts", "pictures"])
def test_a_classifier_goes_once_through_the_split(kind: str, request: pytest.FixtureRequest) -> None:
    candidate = load_candidate(request.getfixturevalue(kind), [], None, print)
    asked, heard = count_passes(candidate), list[tuple[str, int, int | None]]()
    evaluation, scores = evaluate_once(candidate, "test", lambda *told: heard.append(told))
    assert asked == ["test"]
    assert "logits" not in vars(candidate.task)
    alone = score(candidate, "test")
    assert scores is not None
    for name in ("logits", "labels", "places"):
        np.testing.assert_array_equal(getattr(scores, name), getattr(alone, name))
    assert scores.loss == pytest.approx(evaluation.metrics["test/loss"], abs=1e-6)
    assert heard[-1] == ("test", len(scores), len(scores))


@pytest.mark.parametrize("change", [lambda pixels: pixels.flip(3), lambda pixels: pixels[:1]])
def test_a_task_that_looks_at_other_pictures_is_asked_again(pictures: Path, change: Any) -> None:
    """Its evaluation averages over views; what it says of a picture alone is the score."""
    candidate = load_candidate(pictures, [], None, print)
    task: Any = candidate.task
    alone, evaluates = score(candidate, "test"), task.evaluate

    def evaluate(dataset: Any, split: str, *, report: bool = False) -> Any:
        for batch in dataset.eval_batches(split):
            task.logits({"images": change(batch["images"])})
        return evaluates(candidate.dataset, split, report=report)

    task.evaluate = evaluate
    asked = count_passes(candidate)
    _, scores = evaluate_once(candidate, "test", unheard)
    assert scores is not None
    np.testing.assert_array_equal(scores.logits, alone.logits)
    assert asked == ["test"] * 3


def count_passes(candidate: Candidate) -> list[str]:
    """Every split that the data of a candidate are asked for from now on."""
    asked: list[str] = []
    batches = candidate.dataset.eval_batches

    def eval_batches(split: str) -> Any:
        asked.append(split)
        return batches(split)

    candidate.dataset.eval_batches = eval_batches
    return asked


@pytest.mark.parametrize("make", [texts_run, pictures_run])
def test_untrained_is_what_a_run_without_learning_ends_with(make: Any, tmp_path: Path) -> None:
    run = make(tmp_path, "task.optimizer.lr=0.0", "seed=3")
    for words in ([], ["dataset.eval_batch_size=7"]):  # its own data, and others
        (result,) = evaluated(run, step=0, words=words).results
        assert result.step == 0
        assert result.evaluation.metrics == pytest.approx(ended_with(run, "test"), abs=1e-6)


def test_before_training_a_task_has_the_weights_that_it_started_from(texts: Path, tmp_path: Path) -> None:
    run = texts_run(tmp_path, "task.optimizer.lr=0.0", f"start_from={texts}")
    (result,) = evaluate_runs([run], Request(step=0), print).results
    assert result.evaluation.metrics == pytest.approx(ended_with(run, "test"), abs=1e-6)
    assert result.evaluation.metrics == pytest.approx(ended_with(texts, "test"), abs=1e-6)


def test_another_step_is_another_task(texts: Path) -> None:
    (last,) = evaluated(texts, step=4).results
    assert last.step == 4
    (first,) = evaluated(texts, step=0).results
    assert first.evaluation.metrics["loss"] != last.evaluation.metrics["loss"]


def test_other_texts_are_cut_as_those_of_the_training(texts: Path, tmp_path: Path) -> None:
    long = [f"{'great fine ' * 40}{i}" for i in range(20)] + [f"{'dull poor ' * 40}{i}" for i in range(20)]
    rows = [f"{text},{int(i < 20)},{i % 3}" for i, text in enumerate(long)]
    (tmp_path / "other.csv").write_text("\n".join(["words,sign,place", *rows]))
    words = ["dataset=text_files", f"dataset.train_file={tmp_path}/other.csv", "dataset.text_column=words"]
    words += ["dataset.label_column=sign", "dataset.eval_batch_size=8"]
    candidate = load_candidate(texts, [*words, "dataset.test_fraction=0.4"], None, print)
    widths = {batch["input_ids"].shape[1] for batch in candidate.dataset.eval_batches("test")}
    assert widths == {40}
    outcome = evaluated(texts, words=words, split="train", by="place")
    assert outcome.groups is not None
    assert [group.name for group in outcome.groups.groups] == ["0", "1", "2"]
    assert sum(group.count for group in outcome.groups.groups) == outcome.num_examples == 32


def test_pixels_are_normalised_as_in_the_training(pictures: Path) -> None:
    outcome = evaluated(pictures, words=["dataset.mean=[0.1]", "dataset.std=[0.9]"])
    assert outcome.results[0].evaluation.metrics == ended_with(pictures, "test")


def test_pictures_of_another_size_are_made_as_large_as_those_of_the_training(
    pictures: Path, tmp_path: Path
) -> None:
    folder = pictures.parents[2] / "pictures"
    words = ["dataset=image_folder", f"dataset.train_folder={folder}", "dataset.test_fraction=0.3"]
    (result,) = evaluated(pictures, words=words).results
    assert result.evaluation.metrics.keys() == ended_with(pictures, "test").keys()


def test_several_are_judged_by_the_mean_of_their_probabilities(texts: Path) -> None:
    folder = texts.parents[2]
    other = texts_run(folder, "task.optimizer.lr=0.001", "seed=1")
    outcome = evaluated(texts, other, by="class")
    assert outcome.ensemble is not None
    both = [score(load_candidate(run, [], None, print), "test") for run in (texts, other)]
    mean = (both[0].probabilities + both[1].probabilities) / 2
    hits = mean.argmax(1) == both[0].labels
    assert outcome.ensemble.metrics["accuracy"] == pytest.approx(hits.mean())
    assert outcome.ensemble.metrics["loss"] == pytest.approx(
        -np.log(mean[np.arange(len(hits)), both[0].labels]).mean()
    )
    best = max(both[0].hits.mean(), both[1].hits.mean())
    assert outcome.ensemble.gain == pytest.approx(hits.mean() - best)
    low, high = outcome.ensemble.interval
    assert low <= outcome.ensemble.gain <= high
    assert "all 2 together" in shown(outcome)
    folder = write_outcome(outcome, None)
    assert folder.parent == texts / "evaluations"
    assert json.loads((folder / RECORD).read_text())["ensemble"]["gain"] == outcome.ensemble.gain


def test_what_is_written_is_all_that_was_found_and_takes_its_place(texts: Path, tmp_path: Path) -> None:
    outcome = evaluated(texts, by="class")
    folder = write_outcome(outcome, None)
    assert folder == texts / f"evaluations/test_step-{outcome.results[0].step:08d}_by-class"
    assert {path.name for path in folder.iterdir()} == {
        RECORD, "confusion_matrix.png", "confusion_matrix.pdf", "reliability.png", "reliability.pdf",
        "classes.csv", "worst_errors.csv", "groups.csv",
    }  # fmt: skip
    record = json.loads((folder / RECORD).read_text())
    assert record["runs"][0]["metrics"] == ended_with(texts, "test")
    assert (
        (folder / "groups.csv").read_text().startswith("class,examples,accuracy,accuracy_low,accuracy_high")
    )
    (folder / "left_over.txt").touch()
    assert write_outcome(outcome, None) == folder
    assert not (folder / "left_over.txt").exists()
    RunDirectory.open(texts)  # it is still a run directory
    (tmp_path / "mine.txt").touch()
    with pytest.raises(AiexpError, match="holds something else"):
        write_outcome(outcome, tmp_path)


def test_an_agent_plays_its_episodes_again_and_has_no_classes(tmp_path: Path) -> None:
    words = ["dataset.num_test_episodes=3", "dataset.num_eval_episodes=2", "task.rollout.learning_starts=100"]
    run = train(tmp_path, "task=dqn_cartpole", *words)
    outcome = evaluated(run)
    assert outcome.results[0].evaluation.metrics == ended_with(run, "test")
    assert outcome.results[0].calibration is None
    folder = write_outcome(outcome, tmp_path / "played")
    assert json.loads((folder / RECORD).read_text())["runs"][0]["calibration"] is None
    (fewer,) = evaluated(run, words=["dataset.num_test_episodes=2"]).results
    assert fewer.evaluation.metrics.keys() == ended_with(run, "test").keys()
    for request in (Request(by="class"), Request(words=["dataset=acrobot"])):
        with pytest.raises(AiexpError, match=r"is no classifier|the task was trained on"):
            evaluate_runs([run], request, print)


WRONG = [
    ({"words": ["task.dropout=0"]}, "'task.dropout' cannot change"),
    ({"words": ["seed=1"]}, "'seed' cannot change"),
    ({"words": ["hardware.devices=2"]}, "one process evaluates"),
    ({"words": ["dataset.limits=1"]}, "unknown key 'dataset.limits'. Did you mean 'dataset.limit'"),
    ({"words": ["dataset=nothing"]}, "nothing"),
    ({"words": ["dataset=mnist"]}, "learns from texts, dataset mnist has pictures"),
    ({"words": ["dataset=null"]}, "null"),
    ({"words": ["dataset.batch_size=0"]}, "batch_size"),
    ({"step": 77}, "no checkpoint of step 77"),
    ({"split": "tests"}, "no split 'tests'. Did you mean 'test'"),
    ({"by": "age"}, "no column 'age'"),
    ({"words": ["dataset.test_fraction=0"]}, "the split 'test' of the data has no examples"),
]


@pytest.mark.parametrize(("request_of", "what"), WRONG, ids=[what for _, what in WRONG])
def test_what_cannot_be_is_one_line(texts: Path, request_of: dict[str, Any], what: str) -> None:
    with pytest.raises(AiexpError) as caught:
        evaluate_runs([texts], Request(**request_of), print)
    assert what in "\n".join(caught.value.lines())
    assert len(caught.value.lines()) == 1


def test_an_ensemble_is_of_the_same_classes_and_examples(texts: Path, pictures: Path, tmp_path: Path) -> None:
    others = texts_run(tmp_path, "dataset.limit=20")
    for runs, what in (
        ([texts, pictures], "tells other classes apart"),
        ([texts, others], "has other examples"),
        ([texts, texts], "is named twice"),
    ):
        with pytest.raises(AiexpError, match=what):
            evaluate_runs(runs, Request(), print)


def test_pictures_of_another_kind_are_refused(pictures: Path) -> None:
    for word, what in (("dataset.image_size=28", "pictures of the size 28"), ("dataset.channels=3", "are 3")):
        words = [word, *(["dataset.mean=[0.5,0.5,0.5]", "dataset.std=[1,1,1]"] if "channels" in word else [])]
        with pytest.raises(AiexpError, match=what):
            evaluate_runs([pictures], Request(words=words), print)
