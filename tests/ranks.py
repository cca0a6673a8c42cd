"""Ranks as forks of this process, which has torch imported: a pair of them starts in a tenth of a second."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from aiexp.world.world import FOLDER, RANK, STORE, World


def together(size: int, body: Callable[[World], Any], folder: Path, *, seconds: float = 90.0) -> list[Any]:
    """What `body` returns on each of `size` ranks: JSON values."""
    folder.mkdir(parents=True, exist_ok=True)
    number = f"{size}-{time.monotonic_ns()}"
    answers = [folder / f"answer-{number}-{rank}.json" for rank in range(size)]
    pids = [_fork(rank, size, body, folder / f"store-{number}", answers[rank]) for rank in range(size)]
    deadline = time.monotonic() + seconds
    codes: dict[int, int] = {}
    while len(codes) < size and time.monotonic() < deadline:
        for rank, pid in enumerate(pids):
            if rank not in codes:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[rank] = os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    for rank in set(range(size)) - codes.keys():
        os.kill(pids[rank], signal.SIGKILL)
        os.waitpid(pids[rank], 0)
    said = [answer.with_suffix(".log").read_text() for answer in answers]
    assert codes == dict.fromkeys(range(size), 0), "\n".join(said)
    return [json.loads(answer.read_text()) for answer in answers]


def _fork(rank: int, size: int, body: Callable[[World], Any], store: Path, answer: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    with answer.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        os.environ |= {
            RANK: f"{rank}/{size}", STORE: str(store), FOLDER: str(store.parent),
            "GLOO_SOCKET_IFNAME": "lo", "TORCH_CPP_LOG_LEVEL": "ERROR",
        }  # fmt: skip
        code = 1
        try:
            # A fork makes torch's pool of threads anew when it is first asked for; two threads of autograd
            # that ask at once end the process ("Invalid thread pool"). Asked for here, it is there.
            torch.set_num_threads(torch.get_num_threads())
            world = World.from_environment()
            world.start("cpu", 60.0)
            del os.environ[RANK]  # what is made from now on is alone unless it is given `world`
            answer.write_text(json.dumps(body(world)))
            code = 0
        except BaseException:
            traceback.print_exc(file=log)
        log.flush()
        os._exit(code)
