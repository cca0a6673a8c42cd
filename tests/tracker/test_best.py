"""The running bests of what is judged."""

import json
import math
from collections.abc import Callable

import pytest

from aiexp.rundir.directory import RunDirectory
from aiexp.tracker.base import RunInfo
from aiexp.tracker.best import Best

MakeRun = Callable[..., RunInfo]


def config_of(monitor: str | None, mode: str) -> dict[str, object]:
    return {"trainer": {"selection": {"monitor": monitor, "mode": mode}}}


@pytest.mark.parametrize(("mode", "expected"), [("max", [2.0, 3.0]), ("min", [2.0, 1.0])])
def test_best_follows_the_mode_and_ignores_nan(mode: str, expected: list[float], make_run: MakeRun) -> None:
    best = Best(make_run(config=config_of("eval/score", mode)))
    values = [math.nan, 2.0, 1.0, 3.0, 3.0, math.nan]
    assert [value for value in values if best.update({"eval/score": value})] == expected


def test_what_the_task_says_counts_too_and_what_nobody_judges_has_no_best(make_run: MakeRun) -> None:
    run = make_run(config=config_of(None, "max"))
    RunDirectory.at(run.directory).write_status(better={"eval/return": "max"})
    best = Best(run)
    first = {"eval/return": 1.0, "test/return": 5.0, "eval/loss": 2.0, "eval/steps": 3.0, "train/loss": 1.0}
    assert best.update(first) == {"eval/return": 1.0, "test/return": 5.0, "eval/loss": 2.0}
    assert best.update({"eval/return": 0.0, "eval/loss": 1.0, "train/loss": 0.5}) == {"eval/loss": 1.0}
    assert best.values == {"eval/return": 1.0, "test/return": 5.0, "eval/loss": 1.0}


def test_a_resumed_run_knows_its_bests(make_run: MakeRun) -> None:
    run = make_run(config=config_of("eval/accuracy", "max"), previous={"id": "1"})
    lines = [json.dumps({"step": step, "eval/accuracy": value}) for step, value in ((1, 0.9), (2, 0.5))]
    (run.directory / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert not Best(run).update({"eval/accuracy": 0.7})
