"""Processes for jobs: forked from one that has imported torch, each in a slot, watched until it ends."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, final

import cloudpickle

from aiexp.errors import HardwareError, MemoryFullError
from aiexp.hardware.hardware import others_running
from aiexp.sweep.place import worker
from aiexp.sweep.place.slot import Slot

LEAVE_SECONDS = 30.0  # for a process to leave after its job has returned
TIMEOUT, TIMEOUT_CODE = "timeout", 124  # as timeout(1) has it
DUMP_SECONDS = 2.0  # for faulthandler to write where a process hangs


@final
@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended.

    Args:
        index: Number of its job.
        message: What it sent; None when it died without a word.
        why: For one that died: "killed by SIGSEGV", "timeout after 60 s".
        exit_code: For one that died: as a shell gives it, 128 + the signal's number; 124 after a timeout.
        seconds: How long it lived.
    """

    index: int
    message: worker.Message | None
    why: str
    exit_code: int
    seconds: float

    @property
    def is_timeout(self) -> bool:
        """Whether it was ended for taking too long."""
        return self.exit_code == TIMEOUT_CODE


@dataclass
class Running:
    """A process with a job in it.

    Args:
        index: Number of the job.
        slot: Its share of the machine.
        process: The process.
        connection: Where its message comes from.
        started: As `time.monotonic`.
        kernel_kills: How many processes the kernel had killed for lack of memory by then.
        deadline: When the next of `signals` is sent; None for never.
        signals: What it gets when it is late: asked to stop, made to say where it hangs, killed.
        why: Why we end it; empty while we do not.
        message: What it has sent.
    """

    index: int
    slot: Slot
    process: ForkServerProcess
    connection: Connection
    started: float
    kernel_kills: int
    deadline: float | None
    signals: list[int] = field(default_factory=lambda: [signal.SIGTERM, signal.SIGABRT, signal.SIGKILL])
    why: str = ""
    message: worker.Message | None = None

    def insist(self, why: str, grace: float) -> None:
        """Sends the next signal and sets when the one after it is due.

        Args:
            why: Why, unless an earlier signal had a reason.
            grace: Seconds to stop in.
        """
        self.why = self.why or why
        number = self.signals.pop(0) if len(self.signals) > 1 else signal.SIGKILL
        self.deadline = time.monotonic() + (grace if number == signal.SIGTERM else DUMP_SECONDS)
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                worker.kill_descendants(self.process.pid or 0)
                os.killpg(self.process.pid or 0, number)
            else:
                os.kill(self.process.pid or 0, number)


@final
class Pool:
    """Runs calls in processes of their own, at most one a slot.

    Args:
        slots: What processes may use.
        preload: Modules that every job imports.
        timeout: Seconds a job may take; None for any time.
        grace: Seconds between asking a job to stop and killing it.
    """

    def __init__(self, slots: list[Slot], *, preload: list[str], timeout: float | None, grace: float) -> None:
        self._free = list(slots)
        self.running: dict[int, Running] = {}
        self._timeout, self._grace = timeout, grace
        self._context = multiprocessing.get_context("forkserver")
        start_forkserver(self._context, preload)

    @property
    def has_free_slot(self) -> bool:
        """Whether `start` may be called."""
        return bool(self._free)

    @property
    def num_running(self) -> int:
        """How many processes have not ended."""
        return len(self.running)

    def start(self, index: int, call: Callable[[], Any], log: Path) -> None:
        """Starts a process that makes a call and prints to a log."""
        slot = self._free.pop(0)
        receiver, sender = self._context.Pipe(duplex=False)
        payload = cloudpickle.dumps(call)
        process = self._context.Process(
            target=worker.main, args=(sender, payload, slot, log, self._grace), name=f"job {index}"
        )
        try:
            process.start()
        except (EOFError, OSError) as error:
            what = f"the process that jobs are forked from has died: {type(error).__name__}"
            fix = "hydra/launcher=basic runs the jobs without it, and shows what cannot be imported"
            raise HardwareError(what, where="sweep", fix=fix) from error
        sender.close()
        now = time.monotonic()
        deadline = None if self._timeout is None else now + self._timeout
        self.running[index] = Running(index, slot, process, receiver, now, kernel_kills(), deadline)

    def wait(self, seconds: float) -> list[Ended]:
        """The processes that have ended, after at most so many seconds."""
        running = {r.process.sentinel: r for r in self.running.values()}
        speaking = {r.connection: r for r in self.running.values() if not r.connection.closed}
        ready = wait([*running, *speaking], seconds)
        for connection in [c for c in ready if isinstance(c, Connection)]:
            self._hear(speaking[connection])
        ended = [self._end(running[s]) for s in ready if isinstance(s, int)]
        now = time.monotonic()
        for late in [r for r in self.running.values() if r.deadline is not None and now >= r.deadline]:
            overdue = f"{TIMEOUT} after {self._timeout or 0:g} s"
            late.insist(overdue if late.message is None else "did not leave", self._grace)
        return ended

    def _hear(self, running: Running) -> None:
        """Takes the message of a process, if there is one."""
        try:
            if running.message is None and running.connection.poll():
                running.message = cloudpickle.loads(running.connection.recv_bytes())
                running.deadline, running.signals = time.monotonic() + LEAVE_SECONDS, [signal.SIGKILL]
        except (EOFError, OSError):
            pass
        running.connection.close()

    def _end(self, running: Running) -> Ended:
        """Lets go of a process that has ended, and ends those that it started."""
        if not running.connection.closed:
            self._hear(running)
        running.process.join()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(running.process.pid or 0, signal.SIGKILL)
        del self.running[running.index]
        server: int | None = forkserver._forkserver._forkserver_pid  # pyright: ignore
        if server is not None:  # what the job left in a session of its own is the server's child now
            worker.kill_descendants(server, {r.process.pid or 0 for r in self.running.values()})
        self._free.insert(0, running.slot)
        code = running.process.exitcode or 0
        why = running.why or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        exit_code = 128 - code if code < 0 else code or 1
        if code == -signal.SIGKILL and not running.why and kernel_kills() > running.kernel_kills:
            why, exit_code = "out of memory: killed by the kernel", MemoryFullError.exit_code
        if why.startswith(TIMEOUT):
            exit_code = TIMEOUT_CODE
        return Ended(
            index=running.index,
            message=running.message,
            why=why,
            exit_code=exit_code,
            seconds=time.monotonic() - running.started,
        )

    def stop(self) -> bool:
        """Asks every job, once, to stop with a checkpoint; those that take too long are killed.

        Returns:
            Whether any job had not been asked before.
        """
        unasked = [r for r in self.running.values() if r.signals[0] == signal.SIGTERM]
        for running in unasked:
            running.insist("stopped", self._grace)
        return bool(unasked)

    def kill(self) -> None:
        """Kills every job."""
        for running in self.running.values():
            running.signals = [signal.SIGKILL]
            running.insist("killed", self._grace)


def start_forkserver(context: ForkServerContext, preload: list[str]) -> None:
    """Starts the process that jobs are forked from, which goes on importing while this one goes on."""
    context.set_forkserver_preload([*preload, "aiexp.sweep.place.worker", "aiexp.sweep.place.forkserver"])
    # Read when torch is imported, which happens once for all jobs: see Hardware.set_environment.
    if others_running() >= 1:
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is not for the forkserver
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)


def kernel_kills() -> int:
    """How many processes of this machine the kernel has killed for lack of memory, on Linux; 0 elsewhere."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
