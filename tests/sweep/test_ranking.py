"""What a sweep says of its jobs as it ends."""

import json
from pathlib import Path

import pytest
import yaml

from aiexp.compare.compare import compare
from aiexp.rundir.record import RunRecord, find_runs
from aiexp.rundir.state import State
from aiexp.sweep.ranking import best_lines, ranking_metric, say_ranking


def job(lr: float, seed: int, **metrics: float) -> RunRecord:
    return RunRecord(
        path=Path(f"outputs/mine/s_sweep_abc123/{lr}_{seed}"), name=f"{lr}_{seed}", task="mine", seed=seed,
        config={"lr": lr, "seed": seed}, state=State.FINISHED, better={"eval/accuracy": "max"},
        overrides=["task=mine", f"lr={lr}", f"seed={seed}", "hydra/launcher=local", "outputs=o"],
        metrics={name.replace("_", "/"): value for name, value in metrics.items()},
    )  # fmt: skip


def test_jobs_are_ranked_by_their_evaluations() -> None:
    records = [
        job(0.1, 0, eval_accuracy=0.8, test_accuracy=0.9), job(0.1, 1, eval_accuracy=0.7, test_accuracy=0.9),
        job(0.2, 0, eval_accuracy=0.9, test_accuracy=0.5), job(0.2, 1, eval_accuracy=0.8, test_accuracy=0.6),
    ]  # fmt: skip
    assert ranking_metric(records) == "eval/accuracy"
    assert best_lines(compare(records, metric="eval/accuracy")) == [
        "best eval/accuracy 0.85 (mean of 2): aiexp run task=mine lr=0.2",
        "its test/accuracy is 0.55, which has not chosen it",
    ]


def test_without_evaluations_it_says_what_that_means() -> None:
    records = [job(0.1, 0, test_accuracy=0.9), job(0.2, 0, test_accuracy=0.5)]
    assert ranking_metric(records) == "test/accuracy"
    best, note = best_lines(compare(records, metric="test/accuracy", direction="max"))
    assert best == "best test/accuracy 0.9: aiexp run task=mine lr=0.1 seed=0"
    assert "too good to be true" in note


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.5, 0.75], "best eval/accuracy 0.75: aiexp run lr=0.2"), ([0.5], ""), ([], "")],
)
def test_it_is_read_from_the_jobs_that_are_complete(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    accuracies: list[float],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Path("outputs/mine/2026-01-01_00-00-00_sweep_abc123")
    for number, accuracy in enumerate([*accuracies, None], 1):
        path = sweep / f"{number:03d}_abc12{number}"
        path.mkdir(parents=True)
        typed = [f"lr={number / 10}"]
        (path / "config.yaml").write_text(yaml.safe_dump({"lr": number / 10, "seed": 0}))
        (path / "overrides.yaml").write_text(
            yaml.safe_dump({"choices": {"task": "mine"}, "overrides": typed})
        )
        state = "failed" if accuracy is None else "finished"
        metrics = {} if accuracy is None else {"eval/accuracy": accuracy}
        status = {"state": state, "metrics": metrics, "better": {"eval/accuracy": "max"}}
        (path / "status.json").write_text(json.dumps(status))
    assert len(find_runs([sweep])) == len(accuracies) + 1
    say_ranking(sweep)
    out, err = capsys.readouterr()
    assert expected in err
    assert bool(out) == bool(expected)
