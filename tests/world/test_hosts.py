"""A run on two machines: the bytes of one; a machine that is lost, and a cable that is cut."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.endings import digest
from tests.sweep.conftest import wait_until
from tests.world.hosts import Hosts, two_hosts, why_not
from tests.world.shared_run import WORDS, aiexp, latest, make_folder, ranks_of

pytestmark = [pytest.mark.ranks, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]
JOINED = [word for word in WORDS if "devices" not in word]
HOST = """
        if kind == "lost" and os.environ["WORLD_SIZE"] == "2":
            os.kill(parent, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "cut":
            open("cut", "w").close()
            time.sleep(2)
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Generator[Hosts]:
    folder = make_folder(tmp_path)
    path = folder / "ranks_lab/shared.py"
    path.write_text(path.read_text().replace('        if kind == "bug":', f'{HOST}        if kind == "bug":'))
    with two_hosts(tmp_path) as both:
        yield both


@contextmanager
def started(
    hosts: Hosts, folder: Path, *words: str, nodes: str = "2", restarts: int = 0, fault: str = ""
) -> Generator[list[subprocess.Popen[str]]]:
    """A body during which torchrun has `aiexp run` on both hosts, one rank each; hostA has the store."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", nodes, "--nproc-per-node=1",
                "--rdzv-id=trip-9", "--rdzv-backend=c10d", "--rdzv-endpoint=hostA:29400",
                f"--max-restarts={restarts}", "--rdzv-conf=last_call_timeout=4,read_timeout=8",
                "-m", "aiexp", "run", *JOINED, *words]  # fmt: skip
    environment = os.environ | {
        "AIEXP_TEST_FAULT": fault, "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }  # fmt: skip
    agents: list[subprocess.Popen[str]] = []
    try:
        for name in ("hostA", "hostB"):
            with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
                command = hosts.on(name, *torchrun)
                agents.append(
                    subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=out, stderr=err)
                )
        yield agents
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()


def test_two_machines_end_in_the_bytes_of_one(hosts: Hosts, tmp_path: Path) -> None:
    with started(hosts, tmp_path) as agents:
        assert [agent.wait(timeout=100) for agent in agents] == [0, 0], (tmp_path / "hostA.err").read_text()
    directory = latest(tmp_path)
    assert (directory.path / "ranks/rank-00001.log").exists()
    whole = make_folder(tmp_path / "whole")
    assert aiexp(whole, "run", *WORDS).code == 0
    assert digest(directory) == digest(latest(whole))


def test_a_machine_that_is_lost_is_done_without(hosts: Hosts, tmp_path: Path) -> None:
    with started(hosts, tmp_path, "task.keeps=false", nodes="1:2", restarts=2, fault="lost:1:5") as (
        first,
        _,
    ):
        assert first.wait(timeout=100) == 0, (tmp_path / "hostA.err").read_text()
    said = (tmp_path / "hostA.out").read_text()
    assert "resuming from step 4" in said
    assert "saved by 2 ranks, continued by 1" in said
    assert len([*(tmp_path / "outputs/shared").iterdir()]) == 1
    assert latest(tmp_path).read_json("status.json")["state"] == "finished"


def test_when_the_cable_is_cut_the_ranks_of_both_sides_end(hosts: Hosts, tmp_path: Path) -> None:
    """By their own watch, since nobody tells them; torchrun's agents may wait for each other longer."""
    with started(hosts, tmp_path, "hardware.timeout=4", fault="cut:1:5"):
        wait_until(lambda: (tmp_path / "cut").exists())
        hosts.cut()
        logs = latest(tmp_path).path / "ranks"
        wait_until(lambda: all((logs / f"rank-0000{rank}.stack").stat().st_size for rank in (0, 1)), 30)
        wait_until(lambda: ranks_of(tmp_path) == [], 30)
