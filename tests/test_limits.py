"""Limits of the machine: one line and its exit code, wherever they are met."""

import errno
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.command.looking import list as list_command
from aiexp.config.compose import compose
from aiexp.errors import ConfigError
from aiexp.limits import limit_error
from aiexp.storage.files import storage_error, storage_errors, write_json
from tests.forks import in_fork

AIEXP = [sys.executable, "-m", "aiexp"]


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 8),
        (OSError(errno.EFBIG, "File too large"), 8),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), 8),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 8),
        (OSError(errno.EMFILE, "Too many open files", "/x/y"), 5),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), 5),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), 2),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 7),
        (MemoryError(), 7),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 7),
        (RuntimeError("can't start new thread"), 7),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 5 bytes"), 7),
    ],
)
def test_exit_codes(
    error: Exception, exit_code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(list_command, "main", fail)
    assert cli.main(["list"]) == exit_code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("aiexp: error[")


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no", "x"), ValueError("x"), OSError("x")])
def test_what_is_no_limit_stays_a_bug(error: Exception) -> None:
    assert limit_error(error) is None


def test_files_run_out_where_something_is_written() -> None:
    assert storage_error(OSError(errno.EMFILE, "Too many"), "writing", Path("x")).exit_code == 5


@pytest.mark.parametrize("words", [["list"], ["--help"], ["run", "--cfg=job"], ["completion", "bash"]])
def test_a_full_stdout_is_one_line(words: list[str], tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([*AIEXP, *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert done.returncode == 8
    assert done.stderr.startswith("aiexp: error[storage]: cannot write: No space left on device")
    assert done.stderr.count("\n") == 1


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    def write() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with storage_errors("writing", tmp_path / "x"):
            (tmp_path / "x").write_bytes(b"0" * 5000)
        return 0

    ended = in_fork(write, tmp_path)
    assert (ended.code, ended.stderr[:60]) == (
        8,
        "error[storage]: a file may not grow any more while writing |",
    )


def test_few_open_files(tmp_path: Path) -> None:
    program = """
import resource, sys
from aiexp import cli
from aiexp.command.looking import list
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
sys.exit(cli.main(["list"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert "too many open files" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("threads", [0, 1025, 40_000])
def test_a_number_of_threads_that_no_machine_has(threads: int) -> None:
    with pytest.raises(ConfigError, match=r"give .*\[1, 1024\]"):
        compose([f"hardware.threads={threads}"])


def test_a_clock_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.session.session import Session
    from tests.toys import new_run

    directory = new_run(tmp_path)
    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    with Session(directory, directory.read_config()):
        pass
    assert 0 <= directory.read_json("status.json")["seconds"] < 600


def test_a_file_that_may_not_grow_is_no_full_disk(tmp_path: Path) -> None:
    error = storage_error(OSError(errno.EFBIG, "File too large"), "writing", tmp_path / "a")
    assert (error.exit_code, "ulimit -f" in error.line(), "no space" in error.line()) == (8, True, False)


def test_text_that_is_no_unicode_is_written_escaped(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "lone \ud800"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"name": "lone \ud800"}
