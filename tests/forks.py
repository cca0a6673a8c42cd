"""A case in a forked child: milliseconds instead of the seconds an interpreter needs to import torch."""

import functools
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import NamedTuple

from aiexp.errors import AiexpError


class Ended(NamedTuple):
    """How a child ended: its exit code (negative: the signal) and what it wrote."""

    code: int
    stderr: str
    stdout: str


def in_fork(body: Callable[[], object], folder: Path, *, seconds: float = 120.0) -> Ended:
    """Runs `body` in a fork.

    Its exit code is the number that `body` returns, else 0; an AiexpError becomes its line on stderr and
    its own exit code.
    """
    error_path, output_path = (folder / f"{name}-{time.monotonic_ns()}" for name in ("stderr", "stdout"))
    pid = os.fork()
    if pid == 0:
        with error_path.open("w") as errors, output_path.open("w") as output:
            os.dup2(errors.fileno(), 2)
            os.dup2(output.fileno(), 1)
            sys.stderr, sys.stdout = errors, output
            forkserver._forkserver.__init__()  # pyright: ignore  one that an earlier test has is not ours
            try:
                result = body()
                code = result if isinstance(result, int) else 0
            except AiexpError as error:
                errors.write("\n".join(error.lines()) + "\n")
                code = error.exit_code
            except BaseException:
                traceback.print_exc(file=errors)
                code = 1
            errors.flush()
            output.flush()
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            ended = Ended(os.waitstatus_to_exitcode(status), error_path.read_text(), output_path.read_text())
            error_path.unlink()
            output_path.unlink()
            return ended
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"child hung for {seconds} s: {error_path.read_text()}")


def forked(test: Callable[..., None]) -> Callable[..., None]:
    """A test that runs in a fork of its own.

    For those that differentiate in a thread: once that has been done in a process which has also exported a
    network, torch refuses to differentiate in forks of it.
    """

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ended = in_fork(lambda: test(*args, **kwargs), Path(folder))
        assert ended.code == 0, ended.stderr

    return run
