"""A search without jobs: what is drawn, what the study is told, and what a resumed search does."""

import json
import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from aiexp.errors import CheckpointError, ConfigError, SecurityError
from aiexp.sweep.result import Result
from aiexp.sweep.search.best import search_lines
from aiexp.sweep.search.journal_lock import JournalLock
from aiexp.sweep.search.search import Search
from aiexp.sweep.search.settings import SAMPLERS, Settings
from aiexp.sweep.search.space import Space, read_space
from aiexp.sweep.search.study import JOURNAL, load_study, open_study
from aiexp.sweep.search.sweeper import next_batch

WORDS = ["steps=3", "lr=tag(log,interval(1e-4,1))", "width=int(interval(1,9))", "kind=a,b,c"]


def space_of(*words: str) -> Space:
    return read_space(OverridesParser.create().parse_overrides(list(words or WORDS)))


def make_settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        "n_trials": 12, "sampler": "tpe", "seed": 0, "startup_trials": 3, "objectives": ["eval/loss"],
        "directions": ["min"], "pruner": "none", "warmup_evaluations": 0,
    }  # fmt: skip
    return Settings(**(given | changes))


def make_search(folder: Path, words: list[str] | None = None, **changes: Any) -> Search:
    settings, space = make_settings(**changes), space_of(*(words or WORDS))
    settings.check(space)
    return Search(open_study(folder, settings), space, settings)


def result(index: int, exit_code: int = 0, state: str = "finished", **metrics: float) -> Result:
    named = {name.replace("_", "/"): value for name, value in metrics.items()}
    return Result(index=index, exit_code=exit_code, overrides=[], state=state, metrics=named)


def loss_of(words: list[str]) -> float:
    given = dict(word.split("=") for word in words)
    return abs(float(given["lr"]) - 0.01) + abs(int(given["width"]) - 4) + (given["kind"] == "a")


def finish(
    search: Search, until: int | None = None, loss: Callable[[list[str]], float] = loss_of
) -> list[list[str]]:
    """Runs what the search asks for, at most so many jobs; returns the words of each."""
    asked: list[list[str]] = []
    while (until is None or len(asked) < until) and (job := search.next_job()) is not None:
        asked.append(job[1])
        search.ended(job[0], result(job[0], eval_loss=loss(job[1])))
    return asked


def states(folder: Path) -> list[str]:
    return [t.state.name for t in load_study(folder).trials]


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "grid"])
def test_every_sampler_draws_different_points_of_the_whole_space(tmp_path: Path, sampler: str) -> None:
    asked = finish(make_search(tmp_path, sampler=sampler, n_trials=10))
    assert len(asked) == 10
    assert all(words[0] == "steps=3" for words in asked)
    assert len({tuple(words) for words in asked}) > 6
    # Samplers of numbers draw the rest at random: made anew for each trial, they must not repeat themselves.
    assert len({words[3] for words in asked}) == 3


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "qmc"])
def test_a_resumed_search_is_the_uninterrupted_one(tmp_path: Path, sampler: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    expected = finish(make_search(whole, sampler=sampler))
    finish(make_search(broken, sampler=sampler), until=4)
    search = make_search(broken, sampler=sampler)
    left = search.next_job()  # its process is killed before the job ends
    assert left is not None
    again = make_search(broken, sampler=sampler)
    assert again.next_job() == left == (4, expected[4])
    again.ended(4, result(4, eval_loss=loss_of(left[1])))
    assert expected[5:] == finish(again)
    assert make_search(broken, sampler=sampler).next_job() is None
    assert [t.params for t in load_study(broken).trials] == [t.params for t in load_study(whole).trials]


def test_a_trial_that_was_being_drawn_when_its_process_died_is_drawn_to_the_end(tmp_path: Path) -> None:
    expected = finish(make_search(tmp_path), until=3)
    (other := tmp_path / "other").mkdir()
    finish(make_search(other), until=2)
    journal = other / JOURNAL
    search = make_search(other)
    search.next_job()
    lines = journal.read_bytes().splitlines(keepends=True)
    created = max(i for i, line in enumerate(lines) if json.loads(line)["op_code"] == 4)
    for kept in range(created + 1, len(lines)):
        journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:7])  # and a torn line
        index, words = make_search(other).next_job() or (-1, [])
        assert index == 2
        assert words[:2] == expected[2][:2]
        assert [word.split("=")[0] for word in words] == ["steps", "lr", "width", "kind"]


def test_failed_trials_count_and_diverged_ones_are_bad(tmp_path: Path) -> None:
    search = make_search(tmp_path, n_trials=6)
    endings = [result(0, 3, "failed"), result(1, 6, "failed"), None, result(3, eval_loss=float("nan")),
               result(4, eval_accuracy=1.0), result(5, eval_loss=2.0)]  # fmt: skip
    said = []
    for ending in endings:
        index, _ = search.next_job() or (-1, [])
        said.append(search.ended(index, ending))
    assert search.next_job() is None
    assert states(tmp_path) == ["FAIL", "PRUNED", "FAIL", "FAIL", "FAIL", "COMPLETE"]
    assert said[3:5] == ["'eval/loss' is not a finite number", "no metric 'eval/loss' among eval/accuracy"]
    lines = search_lines(
        tmp_path, ["steps=3", "hydra/sweeper=optuna", *WORDS[1:]], frozenset({"lr", "width", "kind"})
    )
    assert lines[0] == "6 trials: 1 complete, 1 pruned, 4 failed"
    assert lines[1].startswith("best eval/loss 2 (trial 5): aiexp run steps=3 lr=")


def test_a_stopped_job_goes_on_as_the_same_trial(tmp_path: Path) -> None:
    search = make_search(tmp_path, n_trials=2)
    index, words = search.next_job() or (-1, [])
    search.ended(index, result(index, 143, "stopped"))
    assert states(tmp_path) == ["RUNNING"]
    assert make_search(tmp_path, n_trials=2).next_job() == (0, words)


def test_a_grid_is_hydras_grid_and_survives_its_planning(tmp_path: Path) -> None:
    words = ["a=x,y", "b=range(1,4)"]
    search = make_search(tmp_path, words, sampler="grid")
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join(lines[:6]))  # killed while enqueueing
    search = make_search(tmp_path, words, sampler="grid")
    asked = finish(search, loss=lambda w: float(w[1][2:]))
    assert asked == [[f"a={a}", f"b={b}"] for a in "xy" for b in (1, 2, 3)]
    assert states(tmp_path) == ["COMPLETE"] * 6


def test_seeds_are_no_choice_but_repetitions(tmp_path: Path) -> None:
    search = make_search(tmp_path, [*WORDS, "seed=7,8,9"], n_trials=2)
    jobs = [search.next_job() for _ in range(7)]
    assert jobs[6] is None
    assert [j[0] for j in jobs if j] == [0, 1, 2, 3, 4, 5]
    assert [j[1][-1] for j in jobs if j] == ["seed=7", "seed=8", "seed=9"] * 2
    for index, loss in zip((2, 0, 1), (6.0, 1.0, 2.0), strict=True):
        search.ended(index, result(index, eval_loss=loss))
    assert load_study(tmp_path).trials[0].value == 3.0
    search.ended(4, result(4, eval_loss=1.0))
    again = make_search(tmp_path, [*WORDS, "seed=7,8,9"], n_trials=2)
    assert [again.next_job(), again.next_job(), again.next_job()] == [jobs[3], jobs[5], None]
    again.ended(3, result(3, eval_loss=2.0))
    again.ended(5, result(5, 1, "failed"))
    assert states(tmp_path) == ["COMPLETE", "FAIL"]
    assert "mean of 3 seeds" in search_lines(tmp_path, [], frozenset())[1]


def test_wilcoxon_saves_the_seeds_of_a_trial_that_is_worse_seed_by_seed(tmp_path: Path) -> None:
    words = [*WORDS, "seed=" + ",".join(map(str, range(8)))]
    search = make_search(tmp_path, words, n_trials=3, pruner="wilcoxon")
    ran: dict[int, int] = {}
    while (job := search.next_job()) is not None:
        trial, _ = search.owner[job[0]]
        ran[trial] = ran.get(trial, 0) + 1
        seed = int(job[1][-1][5:])
        # Trial 1 is worse on every seed, though seeds differ more than trials; trial 2 is better.
        search.ended(job[0], result(job[0], eval_loss=10.0 * seed + [0.0, 0.1, -0.1][trial]))
    assert ran == {0: 8, 1: 4, 2: 8}  # 2**-4 < 0.1
    trials = load_study(tmp_path).trials
    assert [t.state.name for t in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    lines = search_lines(tmp_path, [], frozenset())
    assert lines[0] == "3 trials: 2 complete, 1 pruned"
    assert "(trial 2, mean of 8 seeds)" in lines[1]


def test_wilcoxon_starts_a_trial_rather_than_a_seed_and_leaves_no_slot_idle(tmp_path: Path) -> None:
    words = [*WORDS, "seed=0,1,2,3,4"]
    search = make_search(tmp_path, words, n_trials=2, pruner="wilcoxon")
    owners = [search.owner[job[0]] for _ in range(10) if (job := search.next_job())]
    assert owners[:3] == [(0, 0), (1, 0), (0, 1)]
    assert sorted(owners) == [(t, s) for t in (0, 1) for s in range(5)]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_several_objectives_give_a_front(tmp_path: Path, sampler: str) -> None:
    both: dict[str, Any] = {"objectives": ["eval/loss", "seconds"], "directions": ["min", "max"]}
    search = make_search(
        tmp_path, ["lr=interval(0,1)", "w=interval(0,1)"], sampler=sampler, n_trials=9, **both
    )
    while (job := search.next_job()) is not None:
        lr, w = (float(word.split("=")[1]) for word in job[1])
        code = 6 if job[0] == 1 else 0  # one that diverges: bad in every objective
        search.ended(job[0], result(job[0], code, eval_loss=lr, seconds=lr * (1 + w)))
    lines = search_lines(tmp_path, [], frozenset())
    assert "trials that no other beats in every objective" in lines[1]
    assert lines[2].startswith("  eval/loss 0.")
    assert "seconds" in lines[2]


def test_batches_hold_jobs_whose_numbers_follow_each_other(tmp_path: Path) -> None:
    search = make_search(tmp_path, n_trials=6)
    for index in range(4):
        search.next_job()
        if index in (0, 2):
            search.ended(index, result(index, eval_loss=1.0))
    again = make_search(tmp_path, n_trials=6)
    numbers = [[index for index, _ in batch] for batch in iter(lambda: next_batch(again, 2), [])]
    assert numbers == [[1], [3, 4], [5]]


@pytest.mark.parametrize(
    ("changes", "words", "part"),
    [
        ({"sampler": "tpee"}, WORDS, "Did you mean 'tpe'?"),
        ({"pruner": "mediam"}, WORDS, "Did you mean 'median'?"),
        ({"n_trials": 0}, WORDS, "n_trials is 0"),
        ({"n_trials": True}, WORDS, "n_trials is True"),
        ({"directions": ["maximize"]}, WORDS, "one of max, min"),
        ({"directions": []}, WORDS, "0 directions"),
        ({"objectives": [], "directions": []}, WORDS, "needs an objective"),
        ({"objectives": ["a", "a"], "directions": ["min", "min"]}, WORDS, "named twice"),
        (
            {"objectives": ["a", "b"], "directions": ["min"] * 2, "pruner": "median"},
            WORDS,
            "Optuna prunes by one",
        ),
        ({"objectives": ["a", "b"], "directions": ["min"] * 2, "sampler": "cmaes"}, WORDS, "it follows one"),
        ({"sampler": "grid"}, WORDS, "a grid cannot hold the interval of 'lr'"),
        ({"sampler": "grid"}, ["a=range(0,20)"], "the grid has 20 points"),
        ({"sampler": "cmaes"}, ["lr=interval(0,1)", "kind=a,b"], "two intervals"),
        ({"pruner": "wilcoxon"}, WORDS, "with 1 it can prune none"),
        ({"pruner": "wilcoxon"}, [*WORDS, "seed=0,1,2,3"], "seed=0,1,2,3,4 or more"),
        ({"pruner": "median"}, [*WORDS, "seed=0,1"], "hydra.sweeper.pruner=wilcoxon with 5 seeds"),
    ],
)
def test_wrong_settings_are_one_line(changes: dict[str, Any], words: list[str], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings(**changes).check(space_of(*words))
    assert part in caught.value.line()
    assert "hydra.sweeper." in caught.value.line()


def test_what_is_drawn_at_random_is_said() -> None:
    [note] = make_settings(sampler="cmaes").check(space_of())
    assert note == "sampler cmaes knows only intervals and ranges; drawn at random: kind"
    assert make_settings(sampler="gp").check(space_of()) == []


def test_a_resumed_search_must_be_the_same_one(tmp_path: Path) -> None:
    finish(make_search(tmp_path, n_trials=4))
    with pytest.raises(ConfigError, match="began with directions"):
        make_search(tmp_path, directions=["max"])
    assert len(finish(make_search(tmp_path, n_trials=6))) == 2  # more trials are no other search


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    finish(make_search(tmp_path, n_trials=2))
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join([*lines[:3], b"{...}\n", *lines[3:]]))
    with pytest.raises(CheckpointError, match="the study is damaged"):
        make_search(tmp_path)


def test_a_study_from_elsewhere_runs_no_code(tmp_path: Path) -> None:
    finish(make_search(tmp_path, sampler="cmaes", n_trials=12))
    marker, journal = tmp_path / "ran", tmp_path / JOURNAL
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for attributes in [line["system_attr"] for line in lines if "system_attr" in line]:
        for key in attributes:
            if key.startswith("cma:optimizer:"):
                attributes[key] = pickle.dumps(Evil(str(marker))).hex() if key.endswith(":0") else ""
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SecurityError, match=r"names 'posix\.mkdir'"):
        make_search(tmp_path, sampler="cmaes", n_trials=13)
    assert not marker.exists()


class Evil:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    finish(make_search(tmp_path, n_trials=1))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        JournalLock(tmp_path / JOURNAL).acquire()
        os.write(writer, b"x")
        signal.pause()
    os.read(reader, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    begin = time.monotonic()
    assert len(finish(make_search(tmp_path, n_trials=3))) == 2
    assert states(tmp_path) == ["COMPLETE"] * 3
    assert time.monotonic() - begin < 20, "waited for the dead"


def test_optuna_dashboard_opens_the_journal(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    finish(make_search(tmp_path, n_trials=3))
    app = dashboard.wsgi(load_study(tmp_path)._storage)

    def get(path: str) -> Any:
        status: list[str] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x",
                   "SERVER_PORT": "80", "wsgi.url_scheme": "http", "HTTP_HOST": "x"}  # fmt: skip
        body = b"".join(app(environ, lambda s, *_: status.append(s)))
        assert status[0].startswith("200"), (status, body[:300])
        return json.loads(body)

    [summary] = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == tmp_path.name
    detail = get(f"/api/studies/{summary['study_id']}")
    assert [t["number"] for t in detail["trials"]] == [0, 1, 2]
    assert detail["objective_names"] == ["eval/loss"]
