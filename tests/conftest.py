"""torch is imported once; cases that die run in forks of this process."""

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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


LONGEST_TEST = 300.0  # seconds; the longest that is not `slow` takes 30


@contextmanager
def bounded(item: pytest.Item) -> Generator[None]:
    """A phase that fails when it hangs, and ends what it has started: else nobody learns which it was."""

    def end(*_: object) -> None:
        for child in descendants(os.getpid()):
            os.kill(child, signal.SIGKILL)
        pytest.fail(f"{item.nodeid} took more than {LONGEST_TEST:.0f} s")

    is_short = item.get_closest_marker("slow") is None
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_TEST if is_short else 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Fixtures may train, too."""
    with bounded(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """The test itself."""
    with bounded(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """What it waits for at its end."""
    with bounded(item):
        return (yield)


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
