"""torch is imported once; cases that die run in forks of this process."""

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "disabled"
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as in ranks; torch reads it when it is imported

import matplotlib.figure  # noqa: F401  what a run imports late, so that forks need not
import pytest
import sklearn.metrics  # noqa: F401
import torch
import torch._dynamo

from aiexp.source.cache import data_dir

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_data_folder() -> Iterator[None]:
    """What is fetched is shared with you; what tests prepare is not left in your data folder."""
    yours = data_dir()
    folder = Path(tempfile.mkdtemp(prefix="aiexp-data-"))
    for name in ("files", "archives", "torchvision", "classifiers", "drawn"):
        (yours / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(yours / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIEXP_DATA_DIR", str(folder))
        yield
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv(
        "XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config")
    )  # no key in your home
    for name in ("AIEXP_TRUST", "AIEXP_CONF", "AIEXP_FAULT"):
        monkeypatch.delenv(name, raising=False)


LONGEST_TEST, LONGEST_SLOW_TEST = 300.0, 3600.0  # seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
    """Fixtures may train, too: the bound is one for a test with what is set up for it."""
    with bounded(item.nodeid, LONGEST_SLOW_TEST if item.get_closest_marker("slow") else LONGEST_TEST):
        return (yield)


@contextmanager
def bounded(name: str, seconds: float) -> Generator[None]:
    """A body that fails when it hangs, and ends what it has started: else nobody learns which test it was."""

    def end(*_: object) -> None:
        for child in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        pytest.fail(f"{name} took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)  # again and again: its teardown may hang, too
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def descendants(process: int) -> list[int]:
    """The processes that a process has started, and those that these have, as far as they have parents."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(path.parent.name))
    found: list[int] = []
    left = [process]
    while left:
        started = children.get(left.pop(), [])
        found += started
        left += started
    return found


FETCHED = {"passed": 0, "skipped": 0}  # tests that need fetched data, by outcome


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counts the tests that need fetched data."""
    if (
        "network" in report.keywords
        and (report.when == "call" or report.skipped)
        and report.outcome in FETCHED
    ):
        FETCHED[report.outcome] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI it is an error when they all skipped: nobody would notice that real data is never read."""
    if hasattr(session.config, "workerinput"):
        return  # of several processes, the one that has heard of every test judges
    if os.environ.get("CI") and FETCHED["skipped"] and not FETCHED["passed"]:
        print(f"\nall {FETCHED['skipped']} tests on fetched data skipped, which CI does not accept")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
