"""The ledger survives what machines do to files, and slots share a machine without overlap."""

import json
import os
import sys
from pathlib import Path

import pytest

from aiexp.errors import CheckpointError, ConfigError, HardwareError
from aiexp.rundir.directory import RunDirectory
from aiexp.sweep.ledger import Ledger, hash_config
from aiexp.sweep.place import slot
from aiexp.sweep.result import Result
from tests.forks import in_fork


def done(index: int, exit_code: int = 0) -> Result:
    state = "failed" if exit_code else "finished"
    return Result(index=index, exit_code=exit_code, overrides=[f"seed={index}"], state=state)


def planned(sweep: Path, count: int = 3) -> Ledger:
    ledger = Ledger(sweep)
    assert ledger.plan((i, [f"seed={i}"], f"hash{i}") for i in range(count)) == 0
    return ledger


def test_it_tells_what_is_complete(tmp_path: Path) -> None:
    ledger = planned(tmp_path)
    for index, code in ((0, 0), (1, 1)):
        ledger.start(index, f"run{index}")
        ledger.end(done(index, code))
    ledger.start(2, "run2")
    assert [e.is_complete for e in ledger.entries().values()] == [True, False, False]
    assert ledger.completed(0) == done(0)
    assert ledger.completed(1) is None
    ledger.start(1, "run1")
    assert ledger.entries()[1].result is None, "an attempt under way has no result yet"
    assert ledger.entries()[1].directory == "run1"
    assert ledger.plan([(3, ["seed=3"], "hash3")]) == 1


def test_a_run_that_finished_unheard_is_complete(tmp_path: Path) -> None:
    ledger = planned(tmp_path, 1)
    ledger.start(0, "run0")
    RunDirectory.at(tmp_path / "run0").write_status(state="finished", metrics={"eval/loss": 0.5}, seconds=3.0)
    result = ledger.completed(0)
    assert result is not None
    assert (result.metrics, result.seconds, result.directory) == ({"eval/loss": 0.5}, 3.0, "run0")
    ledger.end(done(0, 1))  # failed, and then somebody resumed the run by itself
    assert ledger.completed(0) == result


def test_an_emptied_ledger_finds_the_runs_again(tmp_path: Path) -> None:
    hashes = [hash_config({"seed": i, "model": {"width": 4}}) for i in range(3)]
    jobs = [(i, [f"seed={i}"], value) for i, value in enumerate(hashes)]
    for i, state in enumerate(("finished", "stopped", "finished")):
        run = RunDirectory.at(tmp_path / f"2026-01-01_00-00-00_{i:03d}_seed-{i}_abcdef")
        seed = 9 if i == 2 else i  # the last is a run of another config
        run.write_config({"model": {"width": 4}, "seed": seed}, {}, [])
        run.write_status(state=state, metrics={"eval/loss": 0.5})
    ledger = Ledger(tmp_path)
    ledger.path.touch()
    assert ledger.plan(jobs) == 1
    entries = ledger.entries()
    assert [e.is_complete for e in entries.values()] == [True, False, False]
    assert entries[1].directory.endswith("seed-1_abcdef")  # goes on there
    assert entries[2].directory == ""


def test_torn_and_damaged_lines_cost_only_themselves(tmp_path: Path) -> None:
    ledger = planned(tmp_path)
    ledger.start(0, "run0")
    ledger.end(done(0))
    whole = ledger.path.read_bytes()
    for length in range(0, len(whole), 7):
        ledger.path.write_bytes(whole[:length])
        before = ledger.entries()
        ledger.plan([(7, ["seed=7"], "hash7")])
        after = ledger.entries()
        assert after.pop(7).config == "hash7", length
        # A line that only lacks its end is whole; any other torn line stays unread.
        assert {i: e.config for i, e in after.items()} == {i: e.config for i, e in before.items()}
        assert len(after) == sum(json.loads(x)["event"] == "planned" for x in complete_lines(whole[:length]))
    ledger.path.write_bytes(
        b'\xff\xfe\n[1]\n{"event": "ended"}\n' + whole + b'{"event": "ended", "job": 99}\n'
    )
    assert ledger.completed(0) == done(0)


def complete_lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    last = lines.pop()
    try:
        json.loads(last)
    except ValueError:
        return lines
    return [*lines, last]


def test_a_job_that_became_another_is_refused(tmp_path: Path) -> None:
    ledger = planned(tmp_path)
    with pytest.raises(CheckpointError, match="job 1 is not what it was"):
        ledger.plan([(1, ["seed=1"], "other")])
    with pytest.raises(CheckpointError, match="seed=1 -> seed=5"):
        ledger.plan([(1, ["seed=5"], "hash1")])


def test_many_processes_write_whole_lines(tmp_path: Path) -> None:
    ledger, count = planned(tmp_path, 8), 40

    def write(index: int) -> None:
        for _ in range(count):
            ledger.end(done(index, 1))

    def writers() -> int:
        pids = []
        for index in range(8):
            pid = os.fork()
            if pid == 0:
                write(index)
                os._exit(0)
            pids.append(pid)
        return max(os.waitpid(p, 0)[1] for p in pids)

    assert in_fork(writers, tmp_path).code == 0
    # A writer that sees another's line half-way begins a new one; the empty line between is passed over.
    events = [json.loads(line) for line in ledger.path.read_bytes().splitlines() if line]
    assert sum(e["event"] == "ended" for e in events) == 8 * count


def test_a_claimed_job_is_waited_for(tmp_path: Path) -> None:
    ledger = planned(tmp_path, 2)
    read, write = os.pipe()
    with ledger.claim(0):
        pid = os.fork()
        if pid == 0:
            with ledger.claim(1):
                os.write(write, b"1")
            with ledger.claim(0):
                os.write(write, b"0")
            os._exit(0)
        assert os.read(read, 1) == b"1"
        os.set_blocking(read, False)
        with pytest.raises(BlockingIOError):
            os.read(read, 1)
    os.waitpid(pid, 0)
    assert os.read(read, 1) == b"0"


@pytest.fixture
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 1, 7})
    monkeypatch.setattr(slot, "count_gpus", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("_four_cores")
@pytest.mark.skipif(sys.platform != "linux", reason="affinity")
def test_slots_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def cores(n_jobs: int | None, num_jobs: int) -> list[tuple[int, ...]]:
        slots = slot.make_slots(n_jobs=n_jobs, gpus=None, use_gpus=True, num_jobs=num_jobs)
        return [s.cores for s in slots]

    assert cores(None, 100) == [(1,), (3,), (5,), (7,)]
    assert cores(None, 2) == [(1, 3), (5, 7)]
    assert cores(3, 100) == [(1,), (3,), (5, 7)]
    assert cores(1, 100) == [(1, 3, 5, 7)]
    shared = [core for (core,) in cores(6, 100)]
    assert sorted(set(shared)) == [1, 3, 5, 7]
    assert max(shared.count(c) for c in shared) == 2
    with pytest.raises(HardwareError, match="no GPU 0"):
        slot.make_slots(n_jobs=None, gpus=[0], use_gpus=True, num_jobs=1)
    monkeypatch.setattr(slot, "count_gpus", lambda: 2)
    slots = slot.make_slots(n_jobs=None, gpus=None, use_gpus=True, num_jobs=9)
    assert [(s.gpu, s.cores) for s in slots] == [("0", (1, 3)), ("1", (5, 7))]
    assert slot.make_slots(n_jobs=None, gpus=None, use_gpus=False, num_jobs=9)[0].gpu is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc")
    (only,) = slot.make_slots(n_jobs=None, gpus=[1], use_gpus=True, num_jobs=9)
    assert (only.gpu, only.cores) == ("GPU-abc", (1, 3, 5, 7))
    with pytest.raises(HardwareError, match="no GPU 2: this machine has 2"):
        slot.make_slots(n_jobs=None, gpus=[2], use_gpus=True, num_jobs=1)
    with pytest.raises(ConfigError, match="n_jobs is 0"):
        slot.make_slots(n_jobs=0, gpus=None, use_gpus=True, num_jobs=1)
