"""A folder with a task that remembers, draws and misbehaves, and runs of it on forked ranks."""

import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import aiexp.config.compose  # what forks would import again and again
import aiexp.config.validate
import aiexp.session.display
import aiexp.trainer.trainer
from aiexp import cli
from aiexp.rank import end, main
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.session import launcher
from aiexp.world.world import RANK
from tests.endings import at_step
from tests.forks import Ended, in_fork

WORDS = [
    "task=shared", "tracker=none", "hardware=cpu", "hardware.precision=fp32", "hardware.threads=1",
    "hardware.devices=2", "hardware.grace=20",
]  # fmt: skip

TASK = """
# A task for several ranks
defaults: [override /model: null, override /dataset: shared, override /trainer: default, _self_]
_target_: ranks_lab.shared.Shared
keeps: true
"""
DATA = "# Points\n_target_: ranks_lab.shared.Data\nbatch_size: 6\n"
TRAINER = """
defaults: [default, _self_]
steps: 12
epochs: null
log_every: 5
evaluate_every: 4
selection: {monitor: eval/loss, mode: min}
checkpoint: {every: 2, keep_last: 3}
"""
CODE = '''
import os, signal, time
import torch
import torch.nn.functional as F
from torch import nn
from aiexp.errors import DataError
from aiexp.task.base import Task, Update
from aiexp.task.report import Evaluation
from tests.toys import Points


class Data(Points):
    def __init__(self, batch_size: int) -> None:
        super().__init__(num_train=31, batch_size=batch_size)


class Shared(Task):
    """Dropout, noise, a pool of its own on each rank; does what AIEXP_TEST_FAULT says: kind:rank:step."""

    def __init__(self, *, model: object, dataset: object, keeps: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3))
        self.pool, self.keeps = [], keeps

    def train_step(self, batch):
        self.misbehave(os.environ.get("AIEXP_TEST_FAULT", ""), "train")
        x = batch["x"] + torch.randn(()) * 0.1
        if self.keeps:
            self.pool = [*self.pool, float(x.mean())][-5:]
            x = x + sum(self.pool) * 0.01
        loss = F.cross_entropy(self(x), batch["y"])
        yield Update(loss=loss * self.factor, metrics={"noise": x.mean().detach()})

    def misbehave(self, fault, where):
        self.factor = 1.0
        rank = os.environ.get("AIEXP_RANK", "0/1").split("/")[0]
        if fault.split(":")[1:] != [rank, str(self.progress.step)]:
            return
        kind = fault.split(":")[0]
        parent = os.getppid()
        if kind == where:
            os.kill(parent, signal.SIGTERM)
        if where != "train":
            return
        if kind in ("TERM", "KILL"):
            os.kill(os.getpid(), getattr(signal, "SIG" + kind))
        if kind.startswith("launcher"):
            os.kill(parent, getattr(signal, kind.replace("launcher", "SIG")))
        if kind == "all":
            children = open(f"/proc/{parent}/task/{parent}/children").read().split()
            for pid in [parent, *map(int, children)]:
                os.kill(pid, signal.SIGKILL)
        if kind == "bug":
            raise ValueError("a slip of the pen")
        if kind == "data":
            raise DataError("picture 17 cannot be read", where="photos/17.png")
        if kind == "twice":
            os.kill(parent, signal.SIGINT)
            time.sleep(0.5)
            os.kill(parent, signal.SIGINT)
        if kind == "deaf":
            os.kill(parent, signal.SIGTERM)
        if kind in ("hang", "twice", "deaf"):
            time.sleep(600)
        if kind == "drift":
            with torch.no_grad():
                self.model[0].bias += 1
        if kind == "rate":
            self.optimizer.param_groups[0]["weight_decay"] = 1.0
        if kind == "nan":
            self.factor = float("nan")

    def forward(self, x):
        return self.model(x)

    def shards(self):
        return [self.model[0]]

    def make_optimizers(self):
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        return {"model": self.optimizer}

    def evaluate(self, dataset, split, *, report=False):
        parts = []
        for batch in self.dealt(dataset, split):
            self.misbehave(os.environ.get("AIEXP_TEST_FAULT", ""), "evaluate")
            parts.append((self(batch["x"]), batch["y"]))
        logits, labels = (torch.cat(p) for p in zip(*self.gathered(parts), strict=True))
        return Evaluation(metrics={"loss": F.cross_entropy(logits, labels).item()})

    def extra_state(self):
        return {"pool": self.pool}

    def load_extra_state(self, state):
        self.pool = state["pool"]
'''


def make_folder(folder: Path) -> Path:
    files = {
        "conf/task/shared.yaml": TASK.replace("override /trainer: default", "override /trainer: shared"),
        "conf/dataset/shared.yaml": DATA,
        "conf/trainer/shared.yaml": TRAINER,
        "ranks_lab/shared.py": CODE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


class ForkedRank:
    """A rank that is a fork, with what the launcher needs of a `Popen`."""

    def __init__(self, job: bytes, environment: dict[str, str], log: Path | None) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.environ |= environment
        misbehave_at_step(environment[RANK].split("/")[0])
        if log is not None:
            with log.open("w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
        end(main(json.loads(job)))

    def poll(self) -> int | None:
        if self.code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if done else None
        return self.code

    def wait(self) -> int:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def misbehave_at_step(rank: str) -> None:
    """Does what AIEXP_TEST_FAULT=at:KILL:1:5 says in this process, if it is that rank, whatever the task."""
    kind, *what = os.environ["AIEXP_TEST_FAULT"].split(":")
    if kind == "at" and what[1] == rank:
        at_step(int(what[2]), lambda: os.kill(os.getpid(), getattr(signal, f"SIG{what[0]}")))


def aiexp(folder: Path, *words: str, fault: str = "") -> Ended:
    """`aiexp words` in a fork, whose ranks are forks too."""

    def body() -> int:
        os.chdir(folder)
        sys.argv = ["aiexp", *words]
        launcher.start = ForkedRank  # pyright: ignore[reportAttributeAccessIssue]
        os.environ["AIEXP_TEST_FAULT"] = fault
        (folder / "tmp").mkdir(exist_ok=True)
        tempfile.tempdir = str(folder / "tmp")
        return cli.main(list(words))

    return in_fork(body, folder, seconds=120)


def latest(folder: Path) -> RunDirectory:
    return RunDirectory((folder / "outputs/latest").resolve())


def lines(directory: RunDirectory) -> list[dict[str, float]]:
    found = read_metrics(directory.path / "metrics.jsonl")
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in found]


def alive(folder: Path) -> list[str]:
    """Processes that still work in a folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.path.samefile(process / "cwd", folder):
                found.append(process.name)
        except OSError:
            continue
    return found


def ranks_of(folder: Path) -> list[str]:
    """Processes of a folder that are ranks, ours or torchrun's."""
    found: list[str] = []
    for process in alive(folder):
        with suppress(OSError):
            if b"RANK=" in Path(f"/proc/{process}/environ").read_bytes():
                found.append(process)
    return found
