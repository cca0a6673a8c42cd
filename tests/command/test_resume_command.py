"""`aiexp resume` on runs of one's own small network: the whole command, each time in a fork of this process."""

# ruff: noqa: E501 (file contents)

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
from aiexp.trainer.trainer import Loop
from tests.endings import at_step, digest
from tests.forks import Ended, in_fork

CODE = """
from collections.abc import Iterator
from typing import Any
import torch
import torch.nn.functional as F
from torch import nn
from aiexp.task.report import Evaluation
from aiexp.task.base import Task, Update
from tests.toys import Points

class Net(nn.Module):
    def __init__(self, *, blocks: dict[str, int]) -> None:
        super().__init__()
        sizes = [8, *blocks.values()]
        layers = {name: nn.Linear(sizes[i], size) for i, (name, size) in enumerate(blocks.items())}
        self.blocks, self.head = nn.ModuleDict(layers), nn.Linear(sizes[-1], 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks.values():
            x = torch.tanh(block(x))
        return self.head(x)

class Data(Points):
    def __init__(self, *, batch_size: int) -> None:
        super().__init__(batch_size=batch_size)

class Learn(Task):
    def __init__(self, *, model: nn.Module, dataset: Any, lr: float) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def train_step(self, batch: Any) -> Iterator[Update]:
        yield Update(loss=F.cross_entropy(self.model(batch["x"]), batch["y"]))

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.Adam(self.model.parameters(), lr=self.lr)}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        parts = [(self.model(b["x"]).argmax(1) == b["y"]).float() for b in dataset.eval_batches(split)]
        return Evaluation(metrics={"accuracy": torch.cat(parts).mean().item()})
"""
FILES = {
    "my_lab/__init__.py": "",
    "my_lab/nets.py": CODE,
    "conf/model/mine.yaml": "# Mine\n_target_: my_lab.nets.Net\nblocks: {second: 32, first: 32}\n",
    "conf/dataset/mine.yaml": "# Mine\n_target_: my_lab.nets.Data\nbatch_size: 4\n",
    "conf/task/mine.yaml": "# Mine\ndefaults: [override /model: mine, override /dataset: mine, override /trainer: default, _self_]\n_target_: my_lab.nets.Learn\nlr: 0.05\n",
}
RUN = ["run", "task=mine", "tracker=none", "hardware.threads=1", "hardware.device=cpu", "hardware.precision=fp32",
       "trainer.log_every=5", "trainer.evaluate_every=5", "trainer.checkpoint.every=5"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def aiexp(*words: str, before: Callable[[], Any] = lambda: None) -> Ended:
    def body() -> int:
        before()
        return cli.main(list(words))

    return in_fork(body, Path(), seconds=60)


def run(outputs: str, *words: str, code: int = 0, before: Callable[[], Any] = lambda: None) -> RunDirectory:
    ended = aiexp(*RUN, f"outputs={outputs}", *words, before=before)
    assert ended.code == code, ended.stderr
    return latest(outputs)


def latest(outputs: str) -> RunDirectory:
    return RunDirectory(Path(outputs, "latest").resolve())


def stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def stop_in_the_final_evaluation() -> None:
    original = Loop.evaluate

    def evaluate(self: Loop, split: str, **settings: Any) -> Any:
        if split == "test":
            stop()
        return original(self, split, **settings)

    Loop.evaluate = evaluate


def lines(directory: RunDirectory) -> list[dict[str, Any]]:
    found = read_metrics(directory.path / "metrics.jsonl")
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in found]


def test_a_network_whose_layers_have_an_order_is_resumed_as_itself(folder: Path) -> None:
    expected = run("whole", "trainer.epochs=3")
    directory = run("stopped", "trainer.epochs=3", code=130, before=lambda: at_step(13, stop))
    ended = aiexp("resume", "stopped/latest")
    assert ended.code == 0, ended.stderr
    assert lines(directory) == lines(expected)
    assert digest(directory) == digest(expected)
    assert directory.read_config() | {"outputs": ""} == expected.read_config() | {"outputs": ""}


EARLY = ["trainer.selection.monitor=eval/accuracy", "trainer.selection.patience=1", "trainer.epochs=30"]


def test_an_early_stopped_run_is_resumed_as_the_line_after_ctrl_c_says(folder: Path) -> None:
    expected = run("whole", *EARLY, "trainer.log_every=7")
    assert expected.read_json("status.json")["step"] < 300
    ended = aiexp(*RUN, *EARLY, "trainer.log_every=7", before=stop_in_the_final_evaluation)
    assert ended.code == 130, ended.stderr
    command = ["resume", *ended.stderr.rpartition("aiexp resume ")[2].split()]
    ended = aiexp(*command)
    assert ended.code == 0, ended.stderr
    assert "early stopping has ended the training" in ended.stdout
    assert lines(latest("outputs")) == lines(expected)
    ended = aiexp(*command, "trainer.epochs=31")
    assert ended.code == 0, ended.stderr
    assert lines(latest("outputs")) == lines(expected)
    ended = aiexp(*command, "trainer.selection.patience=null", "trainer.epochs=10")
    assert ended.code == 0, ended.stderr
    assert latest("outputs").read_json("status.json")["step"] == 100


@pytest.mark.parametrize("change", ["trainer.epochs=2", "trainer.log_every=3"])
def test_an_ended_run_with_nothing_to_do_is_left_alone(folder: Path, change: str) -> None:
    directory = run("outputs", "trainer.epochs=2")
    before = lines(directory)
    ended = aiexp("resume", "outputs/latest", change)
    assert (ended.code, ended.stdout.split(":")[0]) == (0, "already complete"), ended.stderr
    assert lines(directory) == before
    assert "test/accuracy" in before[-1]
