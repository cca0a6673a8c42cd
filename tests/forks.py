"""A case in a forked child: milliseconds instead of the seconds an interpreter needs to import torch."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aiexp.errors import AiexpError


class Ended(NamedTuple):
    """How a child ended: its exit code (negative: the signal) and what it wrote to stderr."""

    code: int
    stderr: str


def in_fork(body: Callable[[], object], folder: Path, *, seconds: float = 30.0) -> Ended:
    """Runs `body` in a fork; an AiexpError becomes its line on stderr and its exit code."""
    error_path = folder / f"stderr-{time.monotonic_ns()}"
    pid = os.fork()
    if pid == 0:
        with error_path.open("w") as errors:
            os.dup2(errors.fileno(), 2)
            sys.stderr = errors
            try:
                body()
                code = 0
            except AiexpError as error:
                errors.write("\n".join(error.lines()) + "\n")
                code = error.exit_code
            except BaseException:
                traceback.print_exc(file=errors)
                code = 1
            errors.flush()
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            stderr = error_path.read_text()
            error_path.unlink()
            return Ended(os.waitstatus_to_exitcode(status), stderr)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"child hung for {seconds} s: {error_path.read_text()}")
