"""Who holds a lock: the process that took it, and nobody that it forked."""

import os
import signal
import time
from pathlib import Path

from aiexp.storage.lock import open_lock, try_lock


def test_a_fork_neither_holds_the_lock_of_its_parent_nor_gives_it_up(tmp_path: Path) -> None:
    read, write = os.pipe()
    holder = os.fork()
    if not holder:
        file = open_lock(tmp_path / "lock")
        assert try_lock(file)
        worker = os.fork()
        if worker:
            os.write(write, worker.to_bytes(4, "little"))
        time.sleep(60)
        os._exit(0)
    worker = int.from_bytes(os.read(read, 4), "little")
    try:
        with open_lock(tmp_path / "lock") as other:
            assert not try_lock(other)
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)
            os.kill(worker, 0)  # lives
            end = time.monotonic() + 10
            while not try_lock(other):  # between its fork and its first line the worker has it
                assert time.monotonic() < end
                time.sleep(0.01)
    finally:
        os.kill(worker, signal.SIGKILL)
