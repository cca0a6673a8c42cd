"""What torchrun has told a process that it has started, and what such a process tells torchrun."""

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from aiexp.errors import HardwareError

RANK = "AIEXP_RANK"  # of this process, "1/2": in the environment of a rank
RUN_ID = "TORCHELASTIC_RUN_ID"  # never told by its size: a job that has lost others may be one process


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A process's place in a job of torchrun.

    Args:
        rank: From 0, over all machines.
        size: Number of ranks.
        local_rank: From 0, on this machine.
        local_size: Ranks on this machine.
        job: The job's name, which starting again does not change; empty for none of its own.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    job: str

    @classmethod
    def take(cls) -> Self:
        """The place of this process; what it starts later will not think that it is a rank."""
        rank, size, local_rank, local_size = (
            int(os.environ.get(name, default))
            for name, default in (
                ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"),
            )
        )  # fmt: skip
        job = os.environ.pop(RUN_ID)
        if job == "none" and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
            job = ""  # torchrun's name for every job that was given none
        os.environ[RANK] = f"{rank}/{size}"
        return cls(rank=rank, size=size, local_rank=local_rank, local_size=local_size, job=job)


def is_torchrun() -> bool:
    """Whether torchrun has started this process, and it has not taken its place yet."""
    return RUN_ID in os.environ


def hush_follower() -> None:
    """Rank 0 alone speaks to the terminal: of another rank's process nothing is seen from now on."""
    if is_torchrun() and os.environ.get("RANK", "0") != "0":
        speak_into(Path(os.devnull))


def speak_into(path: Path) -> None:
    """Sends what this process and its children print to the end of a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def tell_torchrun(text: str) -> None:
    """Leaves why this process fails where torchrun looks for it; nothing without torchrun."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        extra = {"py_callstack": text, "timestamp": str(int(time.time()))}
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": {"message": text, "extraInfo": extra}}))


def meet(rank: int, size: int, timeout: float) -> Any:
    """A store that has only what these ranks put into it.

    torchrun's own outlives them: whoever is started again would find the addresses of ranks that are gone. So
    each of the others asks under a name of its own, and the leader answers with that of a part of the store.

    Args:
        rank: From 0.
        size: Number of ranks.
        timeout: Seconds to wait for the others.

    Raises:
        HardwareError: some have not come.
    """
    from datetime import timedelta

    import torch.distributed

    dist: Any = torch.distributed
    store = next(dist.rendezvous("env://", rank, size, timeout=timedelta(seconds=timeout)))[0]
    name, others, deadline = secrets.token_hex(8), {*range(1, size)}, time.monotonic() + timeout
    if rank:
        store.set(f"aiexp/asks/{rank}", name)
        leader = store.get(f"aiexp/answer/{name}").decode()
        store.set(f"aiexp/{leader}/{rank}", "here")
        return dist.PrefixStore(f"aiexp/{leader}", store)
    while others:
        for other in sorted(others):
            if store.check([f"aiexp/asks/{other}"]):  # perhaps one who is gone
                store.set(f"aiexp/answer/{store.get(f'aiexp/asks/{other}').decode()}", name)
            if store.check([f"aiexp/{name}/{other}"]):
                others.remove(other)
        if time.monotonic() > deadline:
            raise HardwareError(f"rank {min(others)} has not come", where="torchrun")
        time.sleep(0.01)
    return dist.PrefixStore(f"aiexp/{name}", store)
