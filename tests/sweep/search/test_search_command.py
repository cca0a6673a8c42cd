"""`aiexp run -m hydra/sweeper=optuna` as typed: jobs in processes of their own, kills and failures."""

import json
import random
import time
from pathlib import Path

import pytest

from aiexp.sweep.search.study import load_study
from tests.sweep.conftest import SweepLab, wait_until
from tests.sweep.stand_in import results

WORDS = ["hydra/sweeper=optuna", "hydra.sweeper.sampler=random", "hydra.sweeper.objective=eval/loss",
         "hydra.sweeper.direction=min", "task.dropout=interval(0,1)", "trainer.steps=20",
         "hydra.launcher.n_jobs=2"]  # fmt: skip


def words_of(sweep: Path) -> dict[int, list[str]]:
    """What each run was typed as."""
    found: dict[int, list[str]] = {}
    for trial in load_study(sweep).trials:
        found[trial.number] = trial.user_attrs["overrides"]
    return found


@pytest.mark.slow
def test_a_search_killed_at_random_moments_is_the_uninterrupted_one(sweep_lab: SweepLab) -> None:
    words = ["run", "-m", *WORDS, "hydra.sweeper.n_trials=8"]
    code, errors = sweep_lab.aiexp(*words)
    assert code == 0, errors
    [whole] = sweep_lab.sweeps()
    assert "8 trials: 8 complete" in errors
    assert "aiexp: best eval/loss " in errors
    process = sweep_lab.start(*words)
    wait_until(lambda: len(sweep_lab.sweeps()) == 2 and (sweep_lab.sweeps()[1] / "study.journal").exists())
    broken = sweep_lab.sweeps()[1]
    draw = random.Random(1)
    for _ in range(2):
        time.sleep(draw.uniform(0.0, 2.0))
        process.kill()
        process.communicate(timeout=120)
        process = sweep_lab.start("resume", str(broken))
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert results(broken) == results(whole)
    assert words_of(broken) == words_of(whole)
    assert [t.state.name for t in load_study(broken).trials] == ["COMPLETE"] * 8
    code, errors = sweep_lab.aiexp("resume", str(broken), "hydra.sweeper.n_trials=9")
    assert code == 0, errors
    assert "9 trials: 9 complete" in errors
    assert sorted(results(broken)) == list(range(9))


def test_values_that_fail_are_failed_trials_and_the_search_goes_on(sweep_lab: SweepLab) -> None:
    # Seeds of the stand-in that crash: as a listed choice of another key they would be searched.
    words = [*WORDS, "seed=0,103", "hydra.sweeper.n_trials=2"]
    code, errors = sweep_lab.aiexp("run", "-m", *words)
    assert code == 9, errors
    [sweep] = sweep_lab.sweeps()
    assert "2 trials: 2 failed" in errors
    assert "no trial is complete" in errors
    assert errors.count("killed by SIGSEGV") >= 2
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    assert {line["job"]: line["overrides"][-1] for line in lines if line["event"] == "planned"} == {
        0: "seed=0", 1: "seed=103", 2: "seed=0", 3: "seed=103",
    }  # fmt: skip


def test_wrong_searches_make_nothing(sweep_lab: SweepLab) -> None:
    for words, part in (
        ([*WORDS, "hydra.sweeper.objective=eval/los"], "Did you mean 'eval/loss'?"),
        ([*WORDS, "hydra.sweeper.sampler=tpee"], "Did you mean 'tpe'?"),
        (WORDS[4:], "hydra/sweeper=optuna (hydra.sweeper.sampler=random draws)"),
    ):
        code, errors = sweep_lab.aiexp("run", "-m", *words)
        assert code == 2, errors
        assert part in errors
        assert not sweep_lab.sweeps()
