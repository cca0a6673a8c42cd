"""Ranks that torchrun has started: one directory, one voice, one cause; started again they go on in it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from aiexp import cli
from aiexp.errors import ConfigError
from aiexp.sweep.sweep import sweep
from aiexp.world.torchrun import meet
from tests.endings import digest
from tests.forks import Ended
from tests.world.shared_run import WORDS, aiexp, alive, latest, make_folder, misbehave_at_step

pytestmark = pytest.mark.ranks
JOINED = [word for word in WORDS if "devices" not in word]


def torchrun(folder: Path, *commands: list[str], job: str = "job-17", fault: str = "") -> list[Ended]:
    """How forks of this process end that run these commands in torchrun's environment, one a rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = [
        _start(folder, words, rank, len(commands), port, job, fault) for rank, words in enumerate(commands)
    ]
    codes: dict[int, int] = {}
    deadline = time.monotonic() + 90
    while len(codes) < len(pids):
        for rank, pid in enumerate(pids):
            if rank not in codes and (status := os.waitpid(pid, os.WNOHANG))[0]:
                codes[rank] = os.waitstatus_to_exitcode(status[1])
        if time.monotonic() > deadline:
            for pid in (pid for rank, pid in enumerate(pids) if rank not in codes):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    said = [[(folder / f"{name}-{r}").read_text() for name in ("err", "out")] for r in range(len(pids))]
    return [Ended(codes[rank], *said[rank]) for rank in range(len(pids))]


def _start(folder: Path, words: list[str], rank: int, size: int, port: int, job: str, fault: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.environ |= {
            "RANK": str(rank), "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": job,
            "TORCHELASTIC_ERROR_FILE": str(folder / f"error-{rank}.json"), "AIEXP_TEST_FAULT": fault,
        }  # fmt: skip
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        misbehave_at_step(str(rank))
        code = cli.main(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run that the launcher has started."""
    folder = make_folder(tmp_path_factory.mktemp("whole"))
    assert aiexp(folder, "run", *WORDS).code == 0
    return digest(latest(folder))


def test_ranks_join_in_one_directory_and_started_again_go_on_in_it(tmp_path: Path, whole: str) -> None:
    folder = make_folder(tmp_path)
    command = ["run", *JOINED]
    leader, follower = torchrun(folder, command, command, fault="at:TERM:1:5")
    assert (leader.code, follower.code) == (143, 0)  # torchrun ends the rest by the first that is not 0
    assert (follower.stderr, follower.stdout) == ("", "")
    note, stopped = leader.stderr.splitlines()
    assert note == "aiexp: note: whoever reaches torchrun's port can run code here; see SECURITY.md"
    assert stopped.startswith("aiexp: stopped, step 5 is saved; continue with: aiexp resume")
    assert len(note) <= 80
    other = torchrun(folder, command, command, job="job-18", fault="at:TERM:0:2")  # another job: another run
    assert [ended.code for ended in other] == [143, 0]
    leader, follower = torchrun(folder, command, command, fault="at:KILL:1:8")
    assert follower.code == -signal.SIGKILL
    assert leader.code == 11
    assert "error[ranks]: another rank has ended" in leader.stderr
    notes = folder / "outputs/.elastic"
    assert sorted(note.name for note in notes.iterdir()) == ["job-17", "job-18"]
    assert [ended.code for ended in torchrun(folder, command, command)] == [0, 0]
    assert [note.name for note in notes.iterdir()] == ["job-18"]
    runs = sorted((folder / "outputs/shared").iterdir(), key=lambda run: run.stat().st_ctime)
    assert len(runs) == 2
    finished = next(run for run in runs if '"finished"' in (run / "status.json").read_text())
    assert digest(type(latest(folder))(finished)) == whole
    assert [ended.code for ended in torchrun(folder, command, command)] == [0, 0]  # has ended: a new one
    assert len([*(folder / "outputs/shared").iterdir()]) == 3
    assert alive(folder) == []


@pytest.mark.slow
def test_a_run_is_resumed_by_torchrun_and_by_us(tmp_path: Path, whole: str) -> None:
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, fault="TERM:1:5").code == 143
    command = ["resume", "outputs/latest"]
    assert [ended.code for ended in torchrun(folder, command, command, fault="at:TERM:0:8")] == [143, 0]
    resumed = torchrun(folder, command, command)
    assert [ended.code for ended in resumed] == [0, 0], resumed
    assert digest(latest(folder)) == whole
    again = torchrun(folder, command, command)
    said = [ended.stdout.partition(";")[0] for ended in again]
    assert said == ["already complete: outputs/latest", ""]


def test_a_job_that_has_lost_a_rank_goes_on_with_those_left(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    command = ["run", *JOINED, "task.keeps=false"]
    assert [e.code for e in torchrun(folder, command, command, fault="at:TERM:1:5")] == [143, 0]
    (alone,) = torchrun(folder, command)
    assert alone.code == 0, alone.stderr
    assert "saved by 2 ranks, continued by 1" in alone.stdout
    assert len([*(folder / "outputs/shared").iterdir()]) == 1


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["run", *JOINED, "trainer.stepz=4"], 2, "unknown key 'trainer.stepz'"),
        (["run", *JOINED, "trainer.selection.monitor=eval/los"], 2, "Did you mean 'eval/loss'?"),
        (["run", "-m", *JOINED, "seed=0,1"], 2, "a sweep is one process"),
    ],
)
def test_what_all_ranks_find_wrong_is_said_once(
    tmp_path: Path, words: list[str], code: int, line: str
) -> None:
    ranks = torchrun(make_folder(tmp_path), words, words)
    assert [ended.code for ended in ranks] == [code, code]
    said = [text for text in ranks[0].stderr.splitlines() if not text.startswith("aiexp: note:")]
    assert len(said) == 1
    assert line in said[0]
    assert ranks[1].stderr + ranks[1].stdout == ""
    assert line in json.loads((tmp_path / "error-1.json").read_text())["message"]["message"]


def test_a_rank_with_another_config_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    leader, follower = torchrun(folder, ["run", *JOINED], ["run", *JOINED, "trainer.steps=13"])
    assert (leader.code, follower.code) == (2, 2)
    assert leader.stderr == (
        "aiexp: error[config]: rank 1 has trainer.steps=13, rank 0 has trainer.steps=12 | torchrun | "
        "fix: the same command and the same conf/ on every machine\n"
    )
    assert not (folder / "outputs").exists()


def test_a_rank_that_does_not_see_the_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, is_file = make_folder(tmp_path), Path.is_file
    monkeypatch.setattr("aiexp.session.joined.SEEN_SECONDS", 0.2)
    monkeypatch.setattr(
        Path, "is_file",
        lambda self: is_file(self) and not (os.environ.get("RANK") == "1" and self.name == "config.yaml"),
    )  # fmt: skip
    leader, _ = torchrun(folder, ["run", *JOINED], ["run", *JOINED])
    assert leader.code == 8
    assert f"rank 1 on {socket.gethostname()} does not see the run directory" in leader.stderr
    assert "fix: outputs= in a folder that all machines share" in leader.stderr


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        ("data:1:5", 3, "error[data]: picture 17 cannot be read"),
        ("bug:1:5", 1, "error[bug]: rank 1 met ValueError: a slip of the pen"),
        ("nan:1:5", 6, "error[diverged]: loss 'model' of rank 1 is nan at step 6"),
    ],
)
def test_what_one_rank_has_met_is_the_cause(tmp_path: Path, fault: str, code: int, line: str) -> None:
    folder = make_folder(tmp_path)
    leader, _ = torchrun(folder, ["run", *JOINED], ["run", *JOINED], fault=fault)
    assert leader.code == code
    assert leader.stderr.splitlines()[1].startswith(f"aiexp: {line}")
    status = latest(folder).read_json("status.json")
    assert status["exit_code"] == code
    assert status["error"].startswith(line)


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_rank_that_hangs_is_named_by_those_who_can_still_speak(tmp_path: Path, culprit: int) -> None:
    folder = make_folder(tmp_path)
    command = ["run", *JOINED, "hardware.timeout=3"]
    leader, follower = torchrun(folder, command, command, fault=f"hang:{culprit}:5")
    assert (leader.code, follower.code) == (5, 5)
    line = f"error[ranks]: rank {culprit} stood still for hardware.timeout seconds"
    assert leader.stderr.splitlines()[1].startswith(f"aiexp: {line}")
    assert leader.stderr.count("\n") == 2
    status = latest(folder).read_json("status.json")
    assert (status["state"], status["exit_code"]) == ("failed", 5)
    assert status["error"].startswith(line)
    assert "shared.py" in status["error"]
    assert line in json.loads((tmp_path / "error-1.json").read_text())["message"]["message"]


def test_those_started_again_find_nothing_of_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of torchrun's agent lives on; an address in it may be of a process that is gone."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(server.port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    for size in (3, 3, 2):
        with ThreadPoolExecutor(size) as pool:
            stores = [*pool.map(partial(meet, size=size, timeout=30.0), range(size))]
        assert not stores[0].check(["address"])
        stores[0].set("address", "here")
        assert all(store.check(["address"]) for store in stores)


def test_a_sweep_is_refused_before_anything_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(ConfigError, match="a sweep is one process, whose jobs start their own ranks"):
        sweep(["seed=0,1"])


@pytest.mark.slow
def test_torchrun_itself_starts_a_lost_rank_again(tmp_path: Path, whole: str) -> None:
    """The real one: rank 1 is killed, all are started again, and end in the same bytes."""
    folder = make_folder(tmp_path)
    code = (folder / "ranks_lab/shared.py").read_text()
    once = "        if kind == 'once' and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
    (folder / "ranks_lab/shared.py").write_text(
        code.replace(
            '        if kind == "bug":',
            f'{once}            os.kill(os.getpid(), 9)\n        if kind == "bug":',
        )
    )
    ended = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "--max-restarts=1", "-m", "aiexp", "run", *JOINED],
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
        env=os.environ | {"AIEXP_TEST_FAULT": "once:1:5", "OMP_NUM_THREADS": "1",
                          "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "resuming from step 4" in ended.stdout
    assert len([*(folder / "outputs/shared").iterdir()]) == 1
    assert digest(latest(folder)) == whole
