"""Has a run trained by several processes of a machine, and ends them together. Imports no torch.

Each is `python -m aiexp.rank` in a session of its own: a Ctrl-C reaches this process alone, which passes it
on. They read the config from a pipe, secrets and all, and meet at a file in a folder that only this user can
read; the only ports are those that they open to each other on 127.0.0.1. With several machines this is done
on each: see `aiexp.session.node`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast, final

from aiexp.config.objects.build import build
from aiexp.errors import AiexpError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import RANKS
from aiexp.rundir.state import State
from aiexp.session.ended import RunEnded, cause_of, has_cause, patient_cause
from aiexp.session.node import Node
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.storage.files import storage_errors
from aiexp.world.failure import LastWord, PeerLostError
from aiexp.world.world import FOLDER, LATER_SECONDS, RANK, STORE, rank_file

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware

PARENT, CORES = "AIEXP_RANK_PARENT", "AIEXP_RANK_CORES"
POLL_SECONDS, SHARED_POLL_SECONDS = 0.05, 0.5  # of processes; of files that machines share
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def launch(
    directory: RunDirectory,
    config: dict[str, Any],
    hardware: "Hardware",
    stop: StopSignal,
    changes: list[str] | None = None,
    trial: tuple[str, int] | None = None,
    node: Node | None = None,
) -> int:
    """Has a run trained by as many ranks on each machine as `hardware.devices` says; returns 0.

    Args:
        directory: The run's.
        config: Checked and resolved.
        hardware: Built from it.
        stop: Hears the signals that end the run.
        changes: What was typed when resuming; None for a new run.
        trial: The sweep and the number of a run that a search may end early.
        node: The first of several machines; None for the only one.

    Raises:
        AiexpError: what the run ended by, with its exit code; status.json says the same.
    """
    node = node or Node()
    logs = directory.path / RANKS
    fresh_logs(logs)
    job = {"directory": str(directory.path), "config": config, "changes": changes, "trial": trial}
    address = {} if node.is_alone else node.invite(directory, hardware)
    cause = have_trained(job, logs, hardware, stop, node, address)
    if cause is None:
        return 0
    stop.outcome = cause.exit_code
    correct_status(directory, cause)
    raise cause


def launch_followers(config: dict[str, Any], node: Node) -> int:
    """Has another machine's run trained by ranks of this one too; returns the exit code they ended by.

    Args:
        config: Checked and resolved.
        node: This machine, not the first.
    """
    with StopSignal() as stop:
        try:
            with stop.interruptible():
                invited = node.invitation(config["hardware"]["timeout"] + LATER_SECONDS)
        except StopRequested:
            return stop.exit_code
        if not invited:
            return 0
        job = {"directory": invited["directory"], "config": config, "changes": None, "trial": None}
        logs = Path(invited["directory"], RANKS)
        cause: AiexpError | None
        try:
            hardware: Hardware = build(config["hardware"])
            node.check(hardware, invited)
            cause = have_trained(job, logs, hardware, stop, node, invited["address"])
        except AiexpError as error:
            cause = error
        if cause is not None and cause.exit_code != PeerLostError.exit_code and not has_cause(logs):
            rank = int(invited["ranks"].split()[0]) * node.number
            LastWord.of(cause).write(rank_file(logs, rank, "json"))  # of one that could not say it itself
    return 0 if cause is None else cause.exit_code


def have_trained(
    job: dict[str, Any],
    logs: Path,
    hardware: "Hardware",
    stop: StopSignal,
    node: Node,
    address: dict[str, str],
) -> RunEnded | None:
    """Has a job trained by the ranks of this machine; returns why they ended before its time.

    Args:
        job: What ranks are told.
        logs: Where they leave what they have to say.
        hardware: Built from its config.
        stop: Hears the signals that end the run.
        node: This machine.
        address: Of the first rank; empty to meet at a file.
    """
    with tempfile.TemporaryDirectory(prefix="aiexp-", ignore_cleanup_errors=True) as private:
        meeting = address or {
            STORE: str(Path(private, "store")),
            "GLOO_SOCKET_IFNAME": LOOPBACK,
            "NCCL_SOCKET_IFNAME": LOOPBACK,
        }
        ranks = Ranks(json.dumps(job).encode(), environments(hardware, meeting, logs, node), logs, node)

        def leave() -> None:
            ranks.kill()
            shutil.rmtree(private, ignore_errors=True)

        stop.before_leaving = leave
        with ranks.started():
            try:
                with stop.interruptible():
                    ranks.wait(hardware.grace)
            except StopRequested:
                ranks.tell(stop.requested or signal.SIGTERM)
                ranks.wait(hardware.grace, is_stopping=True)
    return patient_cause(lambda: cause_of(logs, ranks.exit_codes, ranks.killed, stop.requested))


def fresh_logs(logs: Path) -> None:
    """Makes the folder of what ranks leave; what those before them have left goes."""
    with storage_errors("making the folder of ranks", logs):
        logs.mkdir(exist_ok=True)
        for suffix in ("log", "stack", "json"):
            for left in logs.glob(f"rank-*.{suffix}"):
                left.unlink()


def correct_status(directory: RunDirectory, cause: RunEnded) -> None:
    """The leader may have written that another rank is gone, or nothing: this is why."""
    with suppress(AiexpError):
        directory.write_status(
            state=State.of_exit_code(cause.exit_code), exit_code=cause.exit_code, error=str(cause)
        )


@final
class Ranks:
    """The processes of a run.

    Args:
        job: What they are told.
        environments: What each finds in its environment.
        logs: Where what they say goes; the leader speaks to the terminal.
        node: The machine whose ranks they are.
    """

    def __init__(self, job: bytes, environments: list[dict[str, str]], logs: Path, node: Node) -> None:
        self.job, self.environments, self.logs, self.node = job, environments, logs, node
        self.first = node.number * len(environments)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.killed: set[int] = set()  # ranks that had to be ended

    @contextmanager
    def started(self) -> Generator[None]:
        """A body during which they run; afterwards none does."""
        try:
            for rank, environment in enumerate(self.environments, self.first):
                log = rank_file(self.logs, rank, "log") if rank else None
                self.processes.append(start(self.job, environment, log))
            yield
        finally:
            self.kill()
            for process in self.processes:
                process.wait()

    @property
    def exit_codes(self) -> dict[int, int | None]:
        """Of each rank; None while it runs, negative after a signal."""
        return {rank: process.poll() for rank, process in enumerate(self.processes, self.first)}

    def elsewhere(self) -> bool:
        """Whether a rank of another machine has left its last word."""
        return not self.node.is_alone and any(self.logs.glob("rank-*.json"))

    def wait(self, grace: float, *, is_stopping: bool = False) -> None:
        """Until all have ended; those that take longer than `grace` after a failure or a stop are killed."""
        deadline = time.monotonic() + grace if is_stopping else float("inf")
        while None in (codes := self.exit_codes.values()):
            if deadline == float("inf") and (any(codes) or self.elsewhere()):
                deadline = time.monotonic() + grace
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(POLL_SECONDS if self.node.is_alone else SHARED_POLL_SECONDS)

    def tell(self, number: int) -> None:
        """Passes a signal on; they agree among themselves when to stop."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def kill(self) -> None:
        """Ends all that still run, and what they have started."""
        for rank, process in enumerate(self.processes, self.first):
            if process.poll() is None:
                self.killed.add(rank)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def start(job: bytes, environment: dict[str, str], log: Path | None) -> "subprocess.Popen[bytes]":
    """Starts a rank; what it says goes to `log`, or where this process's words go."""
    with nullcontext() if log is None else log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "aiexp.rank"],
            env=os.environ | environment, stdin=subprocess.PIPE, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    with suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
        pipe.write(job)
    return process


def environments(
    hardware: "Hardware", meeting: dict[str, str], logs: Path, node: Node
) -> list[dict[str, str]]:
    """What each rank of this machine finds in its environment: where to meet the others, and its share."""
    count = hardware.devices
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    found: list[dict[str, str]] = []
    for rank in range(count):
        environment = {
            **meeting,
            RANK: f"{node.number * count + rank}/{node.count * count}",
            FOLDER: str(logs),
            PARENT: str(os.getpid()),
            CORES: ",".join(map(str, own_cores(rank, count))),
            # DDP warns of looking for unused parameters, which keeps resumed runs exact.
            "TORCH_CPP_LOG_LEVEL": "ERROR",
        }
        if hardware.device_type == "cuda":
            environment["CUDA_VISIBLE_DEVICES"] = gpus[rank]
        found.append(environment)
    return found


def own_cores(rank: int, count: int) -> list[int]:
    """The cores of one of so many ranks of this machine."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own = cores[rank * len(cores) // count : (rank + 1) * len(cores) // count]
    return own or (cores[rank % len(cores) :][:1] if cores else [])


def own_devices(rank: int, count: int) -> None:
    """Confines this process, one of so many ranks of this machine, to its cores and its GPU."""
    if cores := own_cores(rank, count):
        os.sched_setaffinity(0, cores)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    if len(visible) >= count:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[rank]
