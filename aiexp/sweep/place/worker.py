"""What runs in a job's own process before and after the job."""

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle

from aiexp.sweep.place.slot import Slot

PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
Message = tuple[bool, Any]  # whether the call returned, and what; or what it raised, as text


def main(connection: Connection, call: bytes, slot: Slot, log: Path, grace: float) -> None:
    """Calls a pickled function inside a slot and sends back what it returns.

    Args:
        connection: Takes one `Message`, pickled.
        call: A callable without arguments, pickled by cloudpickle.
        slot: What this process may use.
        log: File for everything it prints.
        grace: Seconds to stop in when the sweep's process has died.
    """
    adopt_orphans()
    os.setsid()  # Ctrl-C in the terminal is for the sweep, which then asks its jobs
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the forkserver ignores both
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print_to(log)
    faulthandler.enable()
    threading.Thread(target=follow_parent, args=(grace,), daemon=True).start()
    slot.enter()
    try:
        message = (True, cloudpickle.loads(call)())
    except BaseException as error:
        connection.send_bytes(cloudpickle.dumps((False, f"{type(error).__name__}: {error}")))
        raise
    finally:
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            kill_descendants(os.getpid())  # while it lives, the pool does
    connection.send_bytes(cloudpickle.dumps(message))


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind, on Linux."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(ancestor: int, spared: Collection[int] = ()) -> None:
    """Kills every process below another one, on Linux, also those with a session of their own.

    Args:
        ancestor: Its number; it is not killed itself.
        spared: Processes that stay, with all below them.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    waiting = children.get(ancestor, [])
    for process in waiting:
        if process not in spared and process != os.getpid():
            waiting.extend(children.get(process, []))
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)


def print_to(log: Path) -> None:
    """Sends what this process and its children print to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(file, number)
    os.close(file)


def follow_parent(grace: float) -> None:
    """Asks this process to stop, with a checkpoint, once the sweep's process has died; then insists."""
    parent = parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    kill_descendants(os.getpid())
    os.killpg(0, signal.SIGKILL)
