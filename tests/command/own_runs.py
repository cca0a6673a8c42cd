"""`aiexp` on runs of one's own small network: whole commands, each in a fork of this process."""

# ruff: noqa: E501 (file contents)

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.metrics import read_metrics
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
    def __init__(self, *, model: nn.Module, dataset: Any, lr: float, amsgrad: bool) -> None:
        super().__init__()
        self.model, self.lr, self.amsgrad = model, lr, amsgrad

    def train_step(self, batch: Any) -> Iterator[Update]:
        yield Update(loss=F.cross_entropy(self.model(batch["x"]), batch["y"]))

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.Adam(self.model.parameters(), lr=self.lr, amsgrad=self.amsgrad)}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        parts = [(self.model(b["x"]).argmax(1) == b["y"]).float() for b in dataset.eval_batches(split)]
        return Evaluation(metrics={"accuracy": torch.cat(parts).mean().item()})
"""
FILES = {
    "my_lab/__init__.py": "",
    "my_lab/nets.py": CODE,
    "conf/model/mine.yaml": "# Mine\n_target_: my_lab.nets.Net\nblocks: {second: 32, first: 32}\n",
    "conf/dataset/mine.yaml": "# Mine\n_target_: my_lab.nets.Data\nbatch_size: 4\n",
    "conf/task/mine.yaml": "# Mine\ndefaults: [override /model: mine, override /dataset: mine, override /trainer: default, _self_]\n_target_: my_lab.nets.Learn\nlr: 0.05\namsgrad: false\n",
}
RUN = ["run", "task=mine", "tracker=none", "hardware.threads=1", "hardware.device=cpu", "hardware.precision=fp32",
       "trainer.log_every=5", "trainer.evaluate_every=5", "trainer.checkpoint.every=5"]  # fmt: skip


def aiexp(*words: str, before: Callable[[], Any] = lambda: None) -> Ended:
    def body() -> int:
        before()
        sys.argv = ["aiexp", *words]
        return cli.main(list(words))

    return in_fork(body, Path(), seconds=60)


def run(outputs: str, *words: str, code: int = 0, before: Callable[[], Any] = lambda: None) -> RunDirectory:
    ended = aiexp(*RUN, f"outputs={outputs}", *words, before=before)
    assert ended.code == code, ended.stderr
    return latest(outputs)


def latest(outputs: str) -> RunDirectory:
    return RunDirectory(Path(outputs, "latest").resolve())


def lines(directory: RunDirectory) -> list[dict[str, Any]]:
    found = read_metrics(directory.path / "metrics.jsonl")
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in found]
