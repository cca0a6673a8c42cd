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
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIEXP_TRUST", "AIEXP_CONF", "AIEXP_FAULT"):
        monkeypatch.delenv(name, raising=False)
