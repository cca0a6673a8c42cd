"""However a run on two ranks ends: one exit code, one line, a true status.json, and nobody left behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from aiexp.rundir.file import LOCK
from aiexp.storage.lock import is_held
from tests.world.shared_run import WORDS, aiexp, alive, latest, make_folder

pytestmark = pytest.mark.ranks
STOPPED = "stopped, step 6 is saved; continue with: aiexp resume"
DIVERGED = "error[diverged]: loss 'model' of rank 1 is nan at step 6"


@pytest.mark.parametrize(
    ("fault", "code", "state", "line"),
    [
        ("TERM:1:5", 143, "stopped", STOPPED),
        ("launcherTERM:1:5", 143, "stopped", STOPPED),
        ("launcherINT:1:5", 130, "stopped", STOPPED),
        ("evaluate:1:4", 143, "stopped", "stopped, step 4 is saved"),
        ("nan:1:5", 6, "failed", DIVERGED),
        ("data:1:5", 3, "failed", "error[data]: picture 17 cannot be read | photos/17.png"),
        ("bug:1:5", 1, "failed", "error[bug]: rank 1 met ValueError: a slip of the pen"),
        ("bug:0:5", 1, "failed", "error[bug]: rank 0 met ValueError: a slip of the pen"),
        ("KILL:1:5", 137, "failed", "error[ranks]: rank 1 was ended by SIGKILL"),
        ("KILL:0:5", 137, "failed", "error[ranks]: rank 0 was ended by SIGKILL"),
        (
            "drift:1:5",
            5,
            "failed",
            "error[hardware]: the weights of rank 1 are not those of rank 0 at step 6",
        ),
    ],
)
def test_one_cause_one_line_one_code(tmp_path: Path, fault: str, code: int, state: str, line: str) -> None:
    folder = make_folder(tmp_path)
    ended = aiexp(folder, "run", *WORDS, fault=fault)
    said = [text for text in ended.stderr.splitlines() if text and "finishing this step" not in text]
    assert len(said) == 1, ended.stderr
    assert said[0].startswith(f"aiexp: {line}")
    assert ended.code == code
    status = latest(folder).read_json("status.json")
    assert (status["state"], status["exit_code"]) == (state, code)
    assert status["error"].startswith(line)
    assert alive(folder) == []


def test_a_hang_is_ended_and_the_rank_that_hangs_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    ended = aiexp(folder, "run", *WORDS, "hardware.timeout=3", fault="hang:1:5")
    assert ended.code == 5
    (said,) = ended.stderr.splitlines()
    assert "rank 1 stood still for hardware.timeout seconds" in said
    assert "shared.py" in said
    assert alive(folder) == []


def test_when_the_launcher_is_killed_the_ranks_save_and_leave(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert aiexp(folder, "run", *WORDS, fault="launcherKILL:1:5").code == -signal.SIGKILL
    directory = latest(folder)
    deadline = time.monotonic() + 30
    while is_held(directory.path / LOCK) and time.monotonic() < deadline:
        time.sleep(0.05)
    status = directory.read_json("status.json")
    assert (status["state"], status["exit_code"]) == ("stopped", 143)
    assert 6 <= status["step"] < 12
    assert litter(folder) == []


def test_a_signal_that_the_launcher_does_not_hear_is_heard_by_its_ranks(tmp_path: Path) -> None:
    """Processes of Ray block SIGINT, and what they start would too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        assert aiexp(make_folder(tmp_path), "run", *WORDS, fault="at:INT:1:5").code == 130
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def test_a_second_ctrl_c_ends_all_at_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    ended = aiexp(folder, "run", *WORDS, fault="twice:1:5")
    assert ended.code == 130
    assert "stopped at once; the last checkpoint is intact" in ended.stderr
    assert alive(folder) == []
    assert litter(folder) == []


def test_a_rank_that_does_not_leave_is_killed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    ended = aiexp(folder, "run", *WORDS, "hardware.grace=1", fault="deaf:1:5")
    assert ended.code == 137
    assert "did not leave in time | fix: a longer hardware.grace" in ended.stderr
    assert alive(folder) == []


@pytest.mark.parametrize("number", ["TERM", "INT"])
def test_a_stop_before_the_first_step(tmp_path: Path, number: str) -> None:
    folder = make_folder(tmp_path)
    code = (folder / "ranks_lab/shared.py").read_text()
    stop = f"if os.environ['AIEXP_RANK'] == '1/2':\n    os.kill(os.getppid(), signal.SIG{number})\n"
    (folder / "ranks_lab/shared.py").write_text(code + stop)
    ended = aiexp(folder, "run", *WORDS)
    assert ended.code == {"TERM": 143, "INT": 130}[number]
    assert ended.stderr.startswith("aiexp: stopped, before the first checkpoint; continue with: aiexp resume")
    assert ended.stderr.count("\n") == 1
    assert alive(folder) == []


def test_what_all_ranks_find_wrong_is_said_once(tmp_path: Path) -> None:
    ended = aiexp(make_folder(tmp_path), "run", *WORDS, "trainer.selection.monitor=eval/los")
    assert ended.code == 2
    (said,) = ended.stderr.splitlines()
    assert "Did you mean 'eval/loss'?" in said


def test_nothing_listens_but_on_this_machine(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    code = (folder / "ranks_lab/shared.py").read_text()
    look = '        open(f"ports-{os.getpid()}", "w").write(open("/proc/net/tcp").read())\n'
    code = code.replace("        self.factor = 1.0\n", f"        self.factor = 1.0\n{look}")
    (folder / "ranks_lab/shared.py").write_text(code)
    before = listening(Path("/proc/net/tcp").read_text())
    assert aiexp(folder, "run", *WORDS).code == 0
    during = [listening(path.read_text()) for path in folder.glob("ports-*")]
    assert len(during) == 2
    assert {address.split(":")[0] for found in during for address in found - before} <= {"0100007F"}


def litter(folder: Path) -> list[str]:
    """What is left of the folders in which ranks meet."""
    return [path.name for path in (folder / "tmp").iterdir()]


def listening(table: str) -> set[str]:
    """Local addresses of listening sockets, in hexadecimal as /proc/net/tcp has them."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hardware.devices=0"], "hardware.devices"),
        (["hardware.parallel=zero"], "hardware.parallel"),
        (
            ["hardware.parallel=fsdp", "hardware.compile=true"],
            "fix: hardware.compile=false or hardware.parallel=ddp",
        ),
        (["hardware.devices=two"], "hardware.devices"),
    ],
)
def test_what_is_not_offered_is_refused_before_anything_starts(
    tmp_path: Path, words: list[str], line: str
) -> None:
    folder = make_folder(tmp_path)
    ended = aiexp(folder, "run", *WORDS, *words)
    (said,) = ended.stderr.splitlines()
    assert ended.code == 2
    assert line in said
    assert not os.path.exists(folder / "outputs")
