"""A job on several nodes: one run, one directory, one entry of the ledger, and one cause when it fails."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import pytest

from aiexp.config.objects.build import build
from aiexp.rundir.directory import RunDirectory
from aiexp.session import launcher
from aiexp.session.node import Node
from aiexp.sweep.job import SweepJob
from tests.endings import digest
from tests.forks import Ended, in_fork
from tests.world.shared_run import WORDS, ForkedRank, aiexp, alive, latest, make_folder

submitit = pytest.importorskip("submitit")
from aiexp.sweep.place.submitit_places import ClusterCall  # noqa: E402

pytestmark = pytest.mark.ranks
ONE_EACH = [word for word in WORDS if "devices" not in word]


def on_two_nodes(folder: Path, *words: str, fault: str = "") -> Ended:
    """How a job ends that Slurm has started on two nodes: forks of this process, whose ranks are forks."""

    def body() -> int:
        os.chdir(folder)
        launcher.start = ForkedRank  # pyright: ignore[reportAttributeAccessIssue]
        tempfile.tempdir = str(folder)
        job = SweepJob(sweep=folder / "sweep", config_dir=None, names=frozenset())
        (folder / "sweep").mkdir(exist_ok=True)
        call = ClusterCall(job.bind(0, [*ONE_EACH, *words]))
        os.environ |= {
            "SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": str(folder / "%j"), "AIEXP_TEST_FAULT": fault,
            "SLURM_JOB_ID": "17", "SLURM_NTASKS": "2", "SLURM_JOB_NUM_NODES": "2",
        }  # fmt: skip
        (folder / "17").mkdir(exist_ok=True)
        is_second = (other := os.fork()) == 0
        os.environ["SLURM_PROCID"] = os.environ["SLURM_NODEID"] = str(int(is_second))
        if is_second and fault == "odd":
            launcher.build = lambda config: build({**cast(Any, config), "devices": 2})  # pyright: ignore[reportUnknownLambdaType]
        result = call()
        if is_second:
            os._exit(0)
        os.waitpid(other, 0)
        print(json.dumps([result.exit_code, result.state, result.error]))
        return 0

    return in_fork(body, folder, seconds=100)


def run_of(folder: Path) -> RunDirectory:
    (found,) = folder.glob("sweep/*_000_*")
    return RunDirectory(found)


def ends(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "sweep/ledger.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "ended"]


def test_two_nodes_end_in_the_bytes_of_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "nodes")
    ended = on_two_nodes(folder)
    assert ended.stdout.splitlines()[-1] == '[0, "finished", ""]', ended.stderr
    assert len(ends(folder)) == 1
    assert (run_of(folder).path / "ranks/rank-00001.log").exists()
    assert alive(folder) == []
    whole = make_folder(tmp_path / "whole")
    assert aiexp(whole, "run", *WORDS).code == 0
    assert digest(run_of(folder)) == digest(latest(whole))


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        ("KILL:1:5", 137, "error[ranks]: rank 1 was ended by SIGKILL"),
        ("data:1:5", 3, "error[data]: picture 17 cannot be read"),
        ("hang:1:5", 5, "error[ranks]: rank 1 stood still for hardware.timeout seconds"),
        ("launcherTERM:1:5", 143, "stopped, step 6 is saved"),
        ("odd", 5, f"error[hardware]: {socket.gethostname()} has 2 cpu, the first machine 1 cpu"),
    ],
)
def test_one_cause_whichever_node_has_it(tmp_path: Path, fault: str, code: int, line: str) -> None:
    folder = make_folder(tmp_path)
    ended = on_two_nodes(
        folder, "hardware.grace=3", *(["hardware.timeout=3"] if "hang" in fault else []), fault=fault
    )
    (end,) = ends(folder)
    assert end["exit_code"] == code, ended
    assert end["error"].startswith(line)
    status = run_of(folder).read_json("status.json")
    assert (status["exit_code"], status["error"]) == (code, end["error"])
    assert alive(folder) == []


def test_nobody_waits_for_a_first_node_that_has_failed(tmp_path: Path) -> None:
    first, second = (Node(number=n, count=2, meeting=tmp_path / "meeting.json") for n in (0, 1))
    first.close()
    assert second.invitation(60) == {}
    assert Node(number=1, count=2, meeting=tmp_path / "other.json").invitation(0.1) == {}


@pytest.mark.slow
def test_a_preempted_job_on_two_nodes_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    """By submitit's own local executor, whose two tasks stand for two nodes."""
    folder = make_folder(tmp_path / "nodes")
    ended = subprocess.run(
        [sys.executable, "-m", "aiexp", "run", "-m", *ONE_EACH, "hydra/launcher=submitit_local",
         "hydra.launcher.parameters.nodes=2"],
        cwd=folder, capture_output=True, text=True, timeout=150, check=False,
        env=os.environ | {"AIEXP_TEST_FAULT": "launcherUSR2:0:5", "OMP_NUM_THREADS": "1",
                          "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (run,) = folder.glob("outputs/shared/*/*_000_*")
    assert "resuming from step 6" in (run / "run.log").read_text()
    whole = make_folder(tmp_path / "whole")
    assert aiexp(whole, "run", *WORDS).code == 0
    assert digest(RunDirectory(run)) == digest(latest(whole))
