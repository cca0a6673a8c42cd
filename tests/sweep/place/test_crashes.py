"""However a job ends, the others finish, the table names it, and nothing is left running."""

import json
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.sweep.conftest import SweepLab, descendants, is_alive, wait_until
from tests.sweep.stand_in import results

CRASHES = {
    101: "RuntimeError: boom",
    102: "SystemExit: 3",
    103: "killed by SIGSEGV",
    104: "killed by SIGKILL",
    105: "timeout after 6 s",
    106: "out of memory",
}


def ledger(sweep: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]


def test_every_kind_of_crash_is_named_and_touches_no_other_job(sweep_lab: SweepLab) -> None:
    seeds = ",".join(str(s) for s in [0, *CRASHES, 1, 2])
    words = [
        f"seed={seeds}",
        "hydra.launcher.timeout=6",
        "hydra.launcher.grace=0.2",
        "hydra.launcher.n_jobs=3",
    ]
    code, errors = sweep_lab.aiexp("run", "-m", *words)
    assert code == 9, errors
    (sweep,) = sweep_lab.sweeps()
    assert {i: len(lines) for i, lines in results(sweep).items()} == {0: 10, 7: 10, 8: 10}
    table = errors[errors.index(" job exit") :].splitlines()
    for index, (seed, why) in enumerate(CRASHES.items(), 1):
        row = next(
            line for line in table if re.match(rf"aiexp: +{index} ", line.replace(" job", "aiexp: job"))
        )
        assert f"seed={seed}" in row
        assert why in row
        log = sweep / "logs" / f"{index:03d}.log"
        assert f"log: {log.relative_to(sweep_lab.lab.root)}" in errors
        assert log.stat().st_size > 0
        (run,) = sweep.glob(f"*_{index:03d}_*")
        status = json.loads((run / "status.json").read_text())
        if seed not in (101, 102):  # the stand-in leaves those to the session
            assert status["state"] == "failed", (seed, status)
    assert "6 of 9 jobs failed, 3 are complete" in errors
    assert "Segmentation fault" in (sweep / "logs/003.log").read_text()
    assert "in run" in (sweep / "logs/005.log").read_text()  # where it hung
    assert errors.index("job 1 failed") < errors.index("aiexp: error[sweep]")
    complete = [e["job"] for e in ledger(sweep) if e["event"] == "ended" and e["exit_code"] == 0]
    assert sorted(complete) == [0, 7, 8]  # the last two run side by side
    assert yaml.safe_load((sweep / "sweep.yaml").read_text())["axes"] == ["seed"]


def test_what_a_job_leaves_behind_is_ended_with_it(sweep_lab: SweepLab) -> None:
    """Also what has a session of its own; the processes of the other job stay."""
    code, errors = sweep_lab.aiexp(
        "run", "-m", "seed=107,0,107", "trainer.steps=4", "hydra.launcher.n_jobs=2"
    )
    assert code == 0, errors
    (sweep,) = sweep_lab.sweeps()
    left = [int(line) for line in (sweep / "left.txt").read_text().split()]
    assert len(left) == 4
    wait_until(lambda: not any(is_alive(process) for process in left))
    assert {i: len(lines) for i, lines in results(sweep).items()} == {0: 4, 1: 4, 2: 4}
    assert "unexpected pid" not in errors


def test_what_a_job_leaves_behind_ends_with_a_killed_sweep(sweep_lab: SweepLab) -> None:
    process = sweep_lab.start("run", "-m", "seed=107", "trainer.steps=1000")
    wait_until(lambda: any(len(p.read_text().split()) == 2 for p in sweep_lab.lab.root.rglob("left.txt")))
    process.kill()
    process.communicate(timeout=120)
    (path,) = sweep_lab.lab.root.rglob("left.txt")
    left = [int(line) for line in path.read_text().split()]
    wait_until(lambda: not any(is_alive(number) for number in left))


def test_ctrl_c_saves_every_running_job_and_resume_finishes_the_sweep(sweep_lab: SweepLab) -> None:
    words = ["run", "-m", "seed=0,1,2,3", "trainer.steps=40", "hydra.launcher.n_jobs=2"]
    process = sweep_lab.start(*words)
    wait_until(lambda: sweep_lab.sweeps() and len(results(sweep_lab.sweeps()[0])) == 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    (sweep,) = sweep_lab.sweeps()
    assert f"continue with: aiexp resume outputs/toy/{sweep.name}" in errors
    started = results(sweep)
    assert len(started) == 2
    for path in sweep.glob("*/saved.json"):
        status = json.loads((path.parent / "status.json").read_text())
        assert status["state"] == "stopped"
        assert json.loads(path.read_text())["step"] == len(
            (path.parent / "metrics.jsonl").read_text().splitlines()
        )
    assert sweep_lab.aiexp(*words, "--resume")[0] == 0
    finished = results(sweep)
    assert {i: len(lines) for i, lines in finished.items()} == dict.fromkeys(range(4), 40)
    assert all(finished[i][: len(lines)] == lines for i, lines in started.items())
    starts = [e["job"] for e in ledger(sweep) if e["event"] == "started"]
    assert sorted(starts) == [0, 0, 1, 1, 2, 3]


def test_jobs_stop_with_a_killed_sweep_and_resume_runs_each_once(sweep_lab: SweepLab) -> None:
    words = ["run", "-m", "seed=0,1,2,3", "trainer.steps=30", "hydra.launcher.n_jobs=2"]
    assert sweep_lab.aiexp(*words)[0] == 0
    (whole,) = sweep_lab.sweeps()
    process = sweep_lab.start(*words)
    wait_until(lambda: len(sweep_lab.sweeps()) == 2 and len(results(sweep_lab.sweeps()[1])) >= 3)
    children = descendants(process.pid)
    process.kill()
    process.communicate(timeout=120)
    sweep = sweep_lab.sweeps()[1]
    code, errors = sweep_lab.aiexp("resume", str(sweep.relative_to(sweep_lab.lab.root)))
    assert code == 0, errors
    assert results(sweep) == results(whole)
    assert len(results(whole)) == 4
    ended = [e["job"] for e in ledger(sweep) if e["event"] == "ended" and e["exit_code"] == 0]
    assert sorted(ended) == sorted(set(ended))
    wait_until(lambda: not any(is_alive(p) for p in children))
    again = sweep_lab.aiexp("resume", str(sweep.relative_to(sweep_lab.lab.root)))
    assert again[0] == 0
    assert "resuming: 4 of 4 jobs are complete" in again[1]


@pytest.mark.slow
def test_twenty_kills_at_any_moment_lose_nothing(sweep_lab: SweepLab) -> None:
    words = ["run", "-m", "seed=range(8)", "trainer.steps=40", "hydra.launcher.n_jobs=2"]
    assert sweep_lab.aiexp(*words)[0] == 0
    (whole,) = sweep_lab.sweeps()
    length, draw, kills = progress(whole), random.Random(0), 0
    while kills < 20:
        process = sweep_lab.start(*words)
        while True:
            lines = draw.randrange(length // 2)
            wait_until(lambda: process.poll() is not None or len(sweep_lab.sweeps()) > 1)  # noqa: B023
            sweep = sweep_lab.sweeps()[-1]
            before = progress(sweep)
            wait_until(lambda: process.poll() is not None or progress(sweep) >= before + lines)  # noqa: B023
            time.sleep(draw.uniform(0, 0.05))
            if process.poll() is not None:
                break
            process.kill()
            process.communicate(timeout=120)
            kills += 1
            if not (sweep / "sweep.yaml").exists():
                break
            process = sweep_lab.start("resume", str(sweep))
        _, errors = process.communicate(timeout=120)
        if process.returncode >= 0:
            assert process.returncode == 0, errors
            assert results(sweep) == results(whole)
            ended = [e["job"] for e in ledger(sweep) if e["event"] == "ended" and e["exit_code"] == 0]
            assert sorted(ended) == list(range(8))
        shutil.rmtree(sweep)


def progress(sweep: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in sweep.rglob("*.jsonl"))


def test_max_failures_starts_no_more(sweep_lab: SweepLab) -> None:
    words = ["seed=101,106,0,1,2", "hydra.launcher.max_failures=2", "hydra.launcher.n_jobs=1"]
    code, errors = sweep_lab.aiexp("run", "-m", *words)
    assert code == 9
    assert "2 of 5 jobs failed, 0 are complete, 3 were not started" in errors
    (sweep,) = sweep_lab.sweeps()
    assert results(sweep) == {}
