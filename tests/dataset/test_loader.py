import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
import torch

from aiexp.dataset import loader
from aiexp.dataset.loader import ordered_batches
from aiexp.errors import ConfigError, DataError


def digest(batches) -> str:
    found = hashlib.sha256()
    for batch in batches:
        for name, tensor in batch.items():
            found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def test_workers_change_nothing(make_dataset) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    # From the middle of one epoch to the next.
    prints = {digest(islice(make_dataset(num_workers=n).train_batches(20), 12)) for n in (0, 1, 2)}
    assert len(prints) == 1
    assert torch.equal(state, torch.get_rng_state())
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("num_workers", [0, 1])
def test_finite_batches_end(num_workers: int) -> None:
    batches = ordered_batches(lambda k: k * k, start=2, stop=5, num_workers=num_workers, name="test")
    assert list(batches) == [4, 9, 16]


def fail_at_three(number: int) -> int:
    if number == 3:
        raise KeyError("no such picture")
    if number == 4:
        raise ConfigError("ours", where="dataset.x")
    return number


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batch_that_cannot_be_made_is_named(num_workers: int) -> None:
    batches = ordered_batches(fail_at_three, start=1, stop=None, num_workers=num_workers, name="training")
    assert list(islice(batches, 2)) == [1, 2]
    with pytest.raises(DataError, match="training batch 3 cannot be made: KeyError: 'no such picture'"):
        next(batches)
    ours = ordered_batches(fail_at_three, start=4, stop=None, num_workers=num_workers, name="training")
    with pytest.raises(ConfigError) as caught:
        next(ours)
    assert caught.value.line() == "error[config]: ours | dataset.x"


def die_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_worker_that_dies_is_named() -> None:
    before = signal.getsignal(signal.SIGCHLD)
    batches = ordered_batches(die_at_three, start=0, stop=None, num_workers=1, name="training")
    with pytest.raises(
        DataError, match=r"training batch [0-3] did not come .* exited unexpectedly"
    ) as caught:
        list(islice(batches, 5))
    assert caught.value.where == "dataset"
    assert signal.getsignal(signal.SIGCHLD) is before


def sleep_at_one(number: int) -> int:
    time.sleep(60 * (number == 1))
    return number


def test_worker_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = ordered_batches(sleep_at_one, start=0, stop=None, num_workers=1, name="training")
    assert next(batches) == 0  # which takes as long as starting a worker does
    monkeypatch.setattr(loader, "WORKER_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(loader, "_WAIT_SECONDS", 0.1)
    with pytest.raises(DataError, match="training batch 1 did not come from its worker: no answer"):
        next(batches)
    assert multiprocessing.active_children() == []


def test_a_slow_batch_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_WAIT_SECONDS", 0.05)
    batches = ordered_batches(lambda k: time.sleep(0.3) or k, start=0, stop=3, num_workers=1, name="training")
    assert list(batches) == [0, 1, 2]


def test_signals_to_the_whole_group_leave_workers_at_work() -> None:
    batches = ordered_batches(lambda k: k, start=0, stop=None, num_workers=1, name="training")
    assert next(batches) == 0
    (worker,) = multiprocessing.active_children()
    for name in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid or 0, name)
    assert list(islice(batches, 20)) == list(range(1, 21))
    batches.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


PROGRAM = """
import multiprocessing
from aiexp.dataset.loader import ordered_batches
batches = ordered_batches(lambda k: k, start=0, stop=None, num_workers=1, name="training")
next(batches)
print(multiprocessing.active_children()[0].pid)
"""


def test_workers_end_with_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert is_gone(int(done.stdout))


def test_workers_end_when_the_program_is_killed() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        batches = ordered_batches(lambda k: k, start=0, stop=None, num_workers=1, name="training")
        next(batches)
        os.write(writer, str(multiprocessing.active_children()[0].pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    worker = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    assert is_gone(worker)


def is_gone(pid: int) -> bool:
    """Whether a process ends within some seconds; a dead one that nobody has collected yet counts."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False
