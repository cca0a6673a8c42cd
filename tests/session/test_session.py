"""One process, one run directory; whatever ends the body is written down."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from aiexp.errors import (
    CheckpointError,
    DataError,
    HardwareError,
    MemoryFullError,
    SecurityError,
    Stopped,
    StorageError,
)
from aiexp.rundir.directory import RunDirectory, slug
from aiexp.rundir.metrics import MetricsFile, read_metrics
from aiexp.session.session import Session
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.task.report import Evaluation, Table
from tests.forks import in_fork
from tests.toys import new_run


@pytest.mark.parametrize(
    ("error", "kind", "state"),
    [
        (DataError("bad"), DataError, "failed"),
        (ValueError("a bug"), ValueError, "failed"),
        (MemoryError(), MemoryFullError, "failed"),
        (torch.OutOfMemoryError("CUDA out of memory"), MemoryFullError, "failed"),
        (RuntimeError("X does not currently support double backward"), HardwareError, "failed"),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError, "failed"),
        (KeyboardInterrupt(), Stopped, "stopped"),
    ],
)
def test_the_end_is_recorded(
    tmp_path: Path, error: BaseException, kind: type[BaseException], state: str
) -> None:
    directory = new_run(tmp_path)
    with pytest.raises(kind) as caught, Session(directory, directory.read_config()):
        raise error
    status = directory.read_json("status.json")
    assert status["state"] == state
    assert status["exit_code"] == getattr(caught.value, "exit_code", 1)
    assert (directory.path / "error.log").exists() == (kind is ValueError)


def test_a_real_failed_allocation_is_exit_7(tmp_path: Path) -> None:
    with pytest.raises(MemoryFullError, match="out of memory"), Session(new_run(tmp_path), {}):
        torch.empty(10**15)


def test_a_second_process_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    directory = new_run(tmp_path)

    def second() -> None:
        with Session(directory, directory.read_config()):
            pass

    with Session(directory, directory.read_config()):
        before = {p: p.stat().st_mtime_ns for p in directory.path.rglob("*")}
        ended = in_fork(second, tmp_path)
        after = {p: p.stat().st_mtime_ns for p in directory.path.rglob("*")}
    assert ended.code == 8
    assert f"in use by process {os.getpid()} on" in ended.stderr
    assert before == after
    assert in_fork(second, tmp_path).code == 0


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    directory = new_run(tmp_path)

    def killed() -> None:
        with Session(directory, directory.read_config()):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_fork(killed, tmp_path).code == -signal.SIGKILL
    with Session(directory, directory.read_config()):
        pass
    assert directory.read_json("status.json")["state"] == "finished"


def test_reports_are_files(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    table = Table(columns=["text", "n"], rows=[['quoted "comma", newline\n', 1]])
    with Session(directory, directory.read_config()) as session:
        session.report(
            7,
            Evaluation(
                metrics={"test/x": 1.0},
                pictures={"test/p": b"png", "test/film": b"GIF89a"},
                tables={"test/t": table},
            ),
            False,
        )
    figures = directory.path / "figures/test"
    assert (figures / "p_step-00000007.png").read_bytes() == b"png"
    assert (figures / "film_step-00000007.gif").read_bytes() == b"GIF89a"
    assert (figures / "t_step-00000007.csv").read_text() == 'text,n\n"quoted ""comma"", newline\n",1\n'
    assert read_metrics(directory.path / "metrics.jsonl") == [{"step": 7, "test/x": 1.0}]
    assert "test/x 1" in (directory.path / "run.log").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_directory_that_cannot_be_made(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("aiexp.rundir.directory.Path.mkdir", refuse)
    with pytest.raises(StorageError) as caught:
        RunDirectory.create(tmp_path / "outputs", "")
    assert len(caught.value.lines()) == 1
    assert "outputs=" in caught.value.fix


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_outputs_that_are_no_folder(tmp_path: Path, kind: str) -> None:
    outputs = tmp_path / "outputs"
    outputs.write_text("x") if kind == "file" else outputs.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError) as caught:
        RunDirectory.create(outputs, "")
    assert str(outputs) in caught.value.where


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["task.optimizer.lr=0.001", "seed=1"], "lr-0.001_seed-1"),
        (["+task.note='a b/../c'"], "note-a-b-..-c"),
        (["task.sizes=[3,4]", "tracker=[wandb,tensorboard]", "tracker.wandb.mode=offline"], "sizes-3-4"),
        (["x=" + "é🎉\n" * 100], "x"),
        (["dataset.text_column=" + "long" * 100], None),
        (["~trainer.clip"], "trainer.clip"),
        ([], ""),
    ],
)
def test_slugs_are_safe_file_names(tmp_path: Path, overrides: list[str], expected: str | None) -> None:
    name = slug(overrides)
    assert len(name.encode()) <= 80
    assert not set("/=, ") & set(name)
    if expected is not None:
        assert name == expected
    assert RunDirectory.create(tmp_path, name).path.parent == tmp_path


def test_jobs_started_together_have_folders_of_their_own(tmp_path: Path) -> None:
    threads = [threading.Thread(target=RunDirectory.create, args=(tmp_path, "same")) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 16


@pytest.mark.parametrize("make", ["nothing", "empty folder", "a file", "foreign folder"])
def test_resuming_what_is_no_run(tmp_path: Path, make: str) -> None:
    path = tmp_path / "run"
    if make == "a file":
        path.write_text("x")
    elif make != "nothing":
        path.mkdir()
    if make == "foreign folder":
        (path / "config.yaml").write_text("a: 1")
    with pytest.raises(CheckpointError) as caught:
        RunDirectory.open(path)
    assert caught.value.exit_code == 4


def test_a_run_directory_with_links_is_refused(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (directory.path / "metrics.jsonl").symlink_to(victim)
    with pytest.raises(SecurityError) as caught:
        RunDirectory.open(directory.path)
    assert caught.value.exit_code == 10
    assert victim.read_text() == "precious"


def test_a_full_disk_under_the_metrics_is_exit_8(tmp_path: Path) -> None:
    directory = new_run(tmp_path)

    def full() -> None:
        with Session(directory, {}) as session:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
            for step in range(1000):
                session.metrics.append(step, {"train/loss": 0.5})

    ended = in_fork(full, tmp_path)
    assert ended.code == 8
    assert ended.stderr.count("\n") == 1
    assert "a file may not grow any more while writing metrics" in ended.stderr


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    """`aiexp run | head`: the pipe breaks, the run goes on."""
    directory = new_run(tmp_path)

    def piped() -> None:
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(reading)
        os.close(writing)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        with Session(directory, {}) as session:
            for number in range(5):
                session.say(f"line {number}")

    in_fork(piped, tmp_path)
    assert directory.read_json("status.json")["state"] == "finished"
    assert (directory.path / "run.log").read_text().count("line") == 5


def test_a_config_that_is_no_yaml(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    (directory.path / "config.yaml").write_text("a: [1")
    with pytest.raises(CheckpointError, match="is damaged"):
        directory.read_config()


def test_metrics_survive_a_torn_line_at_every_offset(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    for step in range(3):
        metrics.append(step, {"train/loss": 0.1 * step})
    metrics.close()
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        whole = data[:length].count(b"\n")
        assert read_metrics(path) == [{"step": s, "train/loss": 0.1 * s} for s in range(whole)]


def test_metrics_shorter_than_the_checkpoint_says(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append(1, {"a": 1.0})
    with pytest.raises(CheckpointError, match="the checkpoint was written after 1000"):
        metrics.cut(1000)
    metrics.cut(5)
    metrics.close()
    assert (tmp_path / "metrics.jsonl").stat().st_size == 5


def test_stop_requests_wait_or_interrupt() -> None:
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested == signal.SIGTERM
        assert stop.exit_code == 143
        with pytest.raises(StopRequested), stop.interruptible():
            pytest.fail("entered although a stop was requested")
    with StopSignal() as stop:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(StopRequested), stop.interruptible():
            time.sleep(5)
        timer.join()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGINT] * 2, 130), ([signal.SIGTERM] * 2, 0), ([signal.SIGTERM] * 3, 143)],
)
def test_impatience(tmp_path: Path, signals: list[int], code: int) -> None:
    def body() -> None:
        with StopSignal():
            for number in signals:
                os.kill(os.getpid(), number)

    assert in_fork(body, tmp_path).code == code


def test_a_second_interrupt_waits_for_the_checkpoint(tmp_path: Path) -> None:
    def body() -> None:
        with StopSignal() as stop, stop.saving():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            (tmp_path / "saved").touch()

    assert in_fork(body, tmp_path).code == 0
    assert (tmp_path / "saved").exists()


def test_a_gpu_that_is_not_there_is_found_without_torch() -> None:
    """Exit 5 long before torch is imported."""
    program = (
        "import sys\n"
        "from aiexp.errors import HardwareError\n"
        "from aiexp.hardware.hardware import Hardware\n"
        "try:\n"
        "    Hardware(device='gpu', precision='auto', threads=None, compile=False, cuda_graphs=False,\n"
        "             deterministic=False, devices=1, parallel='ddp', timeout=60, grace=10)\n"
        "except HardwareError as error:\n"
        "    assert 'torch' not in sys.modules\n"
        "    sys.exit(error.exit_code)\n"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 5


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.toys import make_hardware

    monkeypatch.setattr("aiexp.hardware.hardware.cpu_flags", lambda: {"avx2"})
    assert make_hardware(precision="auto").precision == "fp32"
    monkeypatch.setattr("aiexp.hardware.hardware.cpu_flags", lambda: {"amx_bf16"})
    assert make_hardware(precision="auto").precision == "bf16"


def test_metrics_that_are_not_what_the_checkpoint_was_written_after(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    file = MetricsFile(path)
    file.append(1, {"train/loss": 0.25})
    length, digest = file.sync(), file.digest
    file.append(2, {"train/loss": 0.5})
    file.close()
    again = MetricsFile(path)
    again.cut(length, digest)
    assert (path.stat().st_size, again.digest) == (length, digest)
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.26"))
    with pytest.raises(CheckpointError, match="not those that the checkpoint was written after"):
        again.cut(length, digest)
    again.close()
