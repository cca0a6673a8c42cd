"""Jobs by submitit on this machine: the same directories, ledger and resume."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from aiexp.session.stop import StopSignal
from aiexp.sweep.place.submitit_places import ClusterCall
from aiexp.sweep.result import Result
from tests.forks import in_fork
from tests.sweep.conftest import SweepLab, wait_until
from tests.sweep.stand_in import results

submitit = pytest.importorskip("submitit")
LOCAL = "hydra/launcher=submitit_local"


def events(sweep: Path, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    return [e for e in lines if e["event"] == event]


def test_a_job_that_dies_touches_no_other(sweep_lab: SweepLab) -> None:
    code, errors = sweep_lab.aiexp("run", "-m", LOCAL, "seed=0,101,104", "hydra.launcher.n_jobs=3")
    assert code == 9, errors
    (sweep,) = sweep_lab.sweeps()
    assert {i: len(lines) for i, lines in results(sweep).items()} == {0: 10}
    assert "RuntimeError: boom" in errors
    assert "2 of 3 jobs failed, 1 are complete" in errors
    assert "seed 0 on cores" in (sweep / "logs/000.log").read_text()
    died = json.loads(next(sweep.glob("*_002_*")).joinpath("status.json").read_text())
    assert died["state"] == "failed"


def test_a_preempted_job_is_queued_again_and_goes_on(sweep_lab: SweepLab) -> None:
    process = sweep_lab.start("run", "-m", LOCAL, "seed=0", "trainer.steps=100")
    wait_until(lambda: sweep_lab.sweeps() and len(results(sweep_lab.sweeps()[0]).get(0, [])) > 10)
    (sweep,) = sweep_lab.sweeps()
    os.kill(int(str(events(sweep, "started")[0]["pid"])), signal.SIGUSR2)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    first, second = events(sweep, "started")
    assert first["directory"] == second["directory"]
    assert first["pid"] != second["pid"]
    steps = [json.loads(line)["step"] for line in results(sweep)[0]]
    assert steps == list(range(1, 101))
    saved = json.loads(next(sweep.glob("*/saved.json")).read_text())
    assert saved["step"] == 100


@pytest.mark.slow
def test_a_search_goes_on_after_its_process_was_killed(sweep_lab: SweepLab) -> None:
    words = ["run", "-m", LOCAL, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4",
             "hydra.launcher.n_jobs=1",
             "hydra.sweeper.objective=eval/loss", "hydra.sweeper.direction=min", "task.dropout=interval(0,1)",
             "trainer.steps=20"]  # fmt: skip
    process = sweep_lab.start(*words)
    wait_until(lambda: sweep_lab.sweeps() and len(results(sweep_lab.sweeps()[0])) == 2)
    process.kill()
    process.communicate(timeout=120)
    code, errors = sweep_lab.aiexp("resume", str(sweep_lab.sweeps()[0]))
    assert code == 0, errors
    (sweep,) = sweep_lab.sweeps()
    assert {i: len(lines) for i, lines in results(sweep).items()} == dict.fromkeys(range(4), 20)
    assert "4 trials: 4 complete" in errors
    assert [e["job"] for e in events(sweep, "ended")].count(0) == 1


@pytest.mark.parametrize(
    ("launcher", "fix"),
    [("submitit_slurm", "fix: type it where sbatch and srun are"), ("ray", "fix: pip install 'aiexp[ray]'")],
)
def test_what_is_missing_is_one_line(sweep_lab: SweepLab, launcher: str, fix: str) -> None:
    """On a machine that has them too: neither Ray nor Slurm's programs are found."""
    hidden = sweep_lab.lab.root / "stand-in/ray.py"
    hidden.write_text("raise ModuleNotFoundError('No module named ray', name='ray')")
    sweep_lab.environment["PATH"] = str(sweep_lab.lab.root)
    code, errors = sweep_lab.aiexp("run", "-m", f"hydra/launcher={launcher}", "seed=0,1")
    assert code == 5, errors
    assert errors.splitlines()[-1].startswith("aiexp: error[hardware]: ")
    assert fix in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not sweep_lab.sweeps()


def test_a_preempted_run_saves_before_it_leaves(tmp_path: Path) -> None:
    def body() -> int:
        os.environ["SUBMITIT_EXECUTOR"] = "local"
        signal.signal(signal.SIGUSR2, lambda *_: sys.exit(144))  # as submitit's handler ends
        saved: list[bool] = []

        def run() -> Result:
            with StopSignal() as stop:
                os.kill(os.getpid(), signal.SIGUSR2)
                saved.append(stop.requested == signal.SIGTERM)
                print("saved", stop.requested, flush=True)
            return Result(index=0, exit_code=143, overrides=[], state="stopped")

        ClusterCall(run)()
        return 0

    ended = in_fork(body, tmp_path)
    assert (ended.code, ended.stdout) == (144, "saved 15\n"), ended.stderr


def test_a_signal_before_the_run_has_begun_is_not_taken_for_a_failure(tmp_path: Path) -> None:
    def body() -> int:
        os.environ["SUBMITIT_EXECUTOR"] = "local"
        signal.signal(signal.SIGUSR2, lambda *_: sys.exit(144))

        def run() -> Result:
            try:
                os.kill(os.getpid(), signal.SIGUSR2)
            except SystemExit:
                print("caught")
            return Result(index=0, exit_code=0, overrides=[])

        ClusterCall(run)()
        return 0

    ended = in_fork(body, tmp_path)
    assert (ended.code, ended.stdout) == (144, ""), ended.stderr
