"""What runs in a job's own process before and after the job."""

import faulthandler
import os
import signal
import sys
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle

from aiexp.sweep.place.slot import Slot

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
    os.setsid()  # Ctrl-C in the terminal is for the sweep, which then asks its jobs
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the forkserver ignores both
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print_to(log)
    faulthandler.enable()
    threading.Thread(target=follow_parent, args=(grace,), daemon=True).start()
    slot.enter()
    try:
        message = (True, cloudpickle.loads(call)())
    except BaseException as e:
        connection.send_bytes(cloudpickle.dumps((False, f"{type(e).__name__}: {e}")))
        raise
    connection.send_bytes(cloudpickle.dumps(message))


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
    os.killpg(0, signal.SIGKILL)
