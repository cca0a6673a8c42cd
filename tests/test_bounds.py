"""A test that hangs fails, and leaves nothing behind.

In forks, since all that a process has started is killed.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import bounded, descendants
from tests.forks import in_fork


def hang(shell: "subprocess.Popen[bytes]", started: set[int]) -> None:
    """Waits for a process that has started two more."""
    with bounded("its_name", 0.5):
        while len(descendants(os.getpid())) < 3:
            time.sleep(0.01)
        started.update(descendants(os.getpid()))
        shell.wait()


def test_a_test_that_hangs_fails_with_its_name_and_what_it_has_started_is_killed(tmp_path: Path) -> None:
    def body() -> None:
        started: set[int] = set()
        with (
            subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60; wait"]) as shell,
            pytest.raises(pytest.fail.Exception, match="its_name took more than"),
        ):
            hang(shell, started)
        assert len(started) == 3
        assert not started & {*descendants(os.getpid())}

    ended = in_fork(body, tmp_path, seconds=30)
    assert ended.code == 0, ended.stderr


def test_who_is_in_time_is_left_alone(tmp_path: Path) -> None:
    def body() -> None:
        with subprocess.Popen(["sleep", "0.6"]) as child:
            with bounded("its_name", 0.3):
                pass
            assert child.wait() == 0

    ended = in_fork(body, tmp_path, seconds=30)
    assert ended.code == 0, ended.stderr
