"""torch is imported once; cases that die run in forks of this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "disabled"

import matplotlib.figure  # noqa: F401  what a run imports late, so that forks need not
import pytest
import sklearn.metrics  # noqa: F401
import torch
import torch._dynamo

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv(
        "XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config")
    )  # no key in your home
    for name in ("AIEXP_TRUST", "AIEXP_CONF", "AIEXP_FAULT"):
        monkeypatch.delenv(name, raising=False)


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
    if os.environ.get("CI") and FETCHED["skipped"] and not FETCHED["passed"]:
        print(f"\nall {FETCHED['skipped']} tests on fetched data skipped, which CI does not accept")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
