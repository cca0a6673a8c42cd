"""Tasks and data that train in milliseconds, one for each way of using `Update`: for tests of the trainer."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.errors import DivergedError
from aiexp.hardware.hardware import Hardware
from aiexp.rundir.directory import RunDirectory
from aiexp.task.base import Task, Update
from aiexp.task.report import Evaluation
from aiexp.trainer.average import Average
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.selection import Selection
from aiexp.trainer.stepper import Stepper
from aiexp.trainer.trainer import Trainer

FUSED = partial(torch.optim.AdamW, fused=True)


class Points:
    """Points in 8 dimensions, 3 classes; a batch is a pure function of its number."""

    def __init__(self, num_train: int = 40, batch_size: int = 4) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(num_train + 20, 8, generator=generator)
        self.y = self.x[:, :3].argmax(1)
        self.batch_size, self.num_train = batch_size, num_train

    def num_examples(self, split: str) -> int:
        return {"train": self.num_train, "eval": 10, "test": 10}[split]

    def batches_per_epoch(self) -> int:
        return -(-self.num_train // self.batch_size)

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        number = start
        while True:
            epoch, position = divmod(number, self.batches_per_epoch())
            order = np.random.default_rng((0, epoch)).permutation(self.num_train)
            rows = torch.from_numpy(order[position * self.batch_size : (position + 1) * self.batch_size])
            yield {"x": self.x[rows], "y": self.y[rows]}
            number += 1

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        start = self.num_train + (10 if split == "test" else 0)
        for i in range(start, start + 10, 5):
            yield {"x": self.x[i : i + 5], "y": self.y[i : i + 5]}

    def fingerprint(self) -> str:
        return "points"


class Classify(Task):
    """Everything a checkpoint can forget: dropout, batch norm, python and numpy randomness, a history, and a
    convolution with fused moments, whose memory layout (channels last) no file keeps."""

    def __init__(self, lr: float = 0.01, optimizer: Any = FUSED) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Unflatten(1, (2, 2, 2)),
            nn.Conv2d(2, 16, 2),
            nn.Flatten(),
            nn.BatchNorm1d(16),
            nn.Dropout(0.3),
            nn.ReLU(),
            nn.Linear(16, 3),
        )
        self.optimizer, self.lr = optimizer, lr
        self.pool: deque[float] = deque(maxlen=5)
        self.pool_random = np.random.default_rng(3)

    def train_step(self, batch: Any) -> Iterator[Update]:
        import random

        noise = random.random() * 0.1 + np.random.rand() * 0.1
        self.pool.append(noise)
        x = batch["x"] + noise + float(self.pool_random.choice(list(self.pool))) * 0.01
        logits = self.model(x)
        accuracy = (logits.argmax(1) == batch["y"]).float().mean()
        yield Update(loss=F.cross_entropy(logits, batch["y"]), metrics={"accuracy": accuracy})

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": self.optimizer(self.model.parameters(), lr=self.lr)}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        batches = [self.to_device(batch) for batch in dataset.eval_batches(split)]
        parts = [(self.model(b["x"]), b["y"]) for b in batches]
        logits, labels = (torch.cat(p) for p in zip(*parts, strict=True))
        return Evaluation(
            metrics={
                "loss": F.cross_entropy(logits, labels).item(),
                "accuracy": (logits.argmax(1) == labels).float().mean().item(),
            }
        )

    def extra_state(self) -> dict[str, Any]:
        return {"pool": list(self.pool), "pool_random": self.pool_random.bit_generator.state}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.pool = deque(state["pool"], maxlen=5)
        self.pool_random.bit_generator.state = state["pool_random"]


class Recordable(Task):
    """Dropout and batch norm, whose random numbers and statistics a replay has to carry on."""

    capturable = True

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 3)
        )

    def train_step(self, batch: Any) -> Iterator[Update]:
        logits = self.model(batch["x"])
        accuracy = (logits.argmax(1) == batch["y"]).float().mean()
        yield Update(loss=F.cross_entropy(logits.float(), batch["y"]), metrics={"accuracy": accuracy})

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": FUSED(self.model.parameters(), lr=0.01)}

    evaluate = Classify.evaluate


class Adversaries(Task):
    """A GAN: two optimizers, two updates a step; the second sees the first applied."""

    def __init__(self, optimizer: Any = torch.optim.Adam, lr: float = 1e-3) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 8))
        self.discriminator = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
        self.optimizer, self.lr = optimizer, lr

    def train_step(self, batch: Any) -> Iterator[Update]:
        real, noise = batch["x"], F.one_hot(batch["y"], 3).float()
        fake = self.generator(noise)
        loss = (
            F.softplus(-self.discriminator(real)).mean()
            + F.softplus(self.discriminator(fake.detach())).mean()
        )
        yield Update(loss=loss, optimizer="discriminator")
        yield Update(loss=F.softplus(-self.discriminator(fake)).mean(), optimizer="generator")

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            name: self.optimizer(getattr(self, name).parameters(), lr=self.lr)
            for name in ("generator", "discriminator")
        }


class Replay(Task):
    """Reinforcement learning in small: acts by its own network, learns from a buffer, syncs a target."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(4, 2)
        self.target = nn.Linear(4, 2).requires_grad_(False)
        self.random = np.random.default_rng(5)
        self.observation = np.ones(4)
        self.buffer: list[list[float]] = []
        self.updates = 0

    def batches(self, dataset: Any, start: int) -> Iterator[Any]:
        while True:
            for _ in range(3):
                with torch.no_grad():
                    values = self.model(torch.tensor(self.observation, dtype=torch.float32))
                action = int(values.argmax()) if self.random.random() > 0.3 else int(self.random.integers(2))
                following = np.roll(self.observation, 1) * 0.9 + self.random.normal(size=4) * 0.1
                self.buffer.append([*self.observation, action, *following])
                self.observation = following
            rows = self.random.integers(len(self.buffer), size=4)
            yield torch.tensor([self.buffer[i] for i in rows], dtype=torch.float32)

    def train_step(self, batch: Any) -> Iterator[Update]:
        with torch.no_grad():
            wanted = batch[:, 0] + 0.9 * self.target(batch[:, 5:]).amax(1)
        chosen = self.model(batch[:, :4]).gather(1, batch[:, 4:5].long()).squeeze(1)
        sizes = {"env/transitions": len(self.buffer), "time/waiting": 0.5}
        yield Update(loss=F.smooth_l1_loss(chosen, wanted), metrics=sizes)
        self.updates += 1
        if self.updates % 4 == 0:
            self.target.load_state_dict(self.model.state_dict())

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.Adam(self.model.parameters(), lr=0.01)}

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Evaluation:
        return Evaluation(metrics={"accuracy": self.model.weight.mean().item()})

    def extra_state(self) -> dict[str, Any]:
        return {
            "random": self.random.bit_generator.state,
            "observation": self.observation,
            "buffer": torch.tensor(self.buffer, dtype=torch.float64),
            "updates": self.updates,
        }

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.random.bit_generator.state = state["random"]
        self.observation, self.updates = state["observation"], state["updates"]
        self.buffer = state["buffer"].tolist()


class Linear(Task):
    """One linear layer, nothing random; the loss times a factor, and the precision it was computed in."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.model = nn.Linear(8, 3)
        self.factor = factor
        self.dtype: Any = None

    def train_step(self, batch: Any) -> Iterator[Update]:
        logits = self.model(batch["x"])
        self.dtype = logits.dtype
        yield Update(loss=F.cross_entropy(logits.float(), batch["y"]) * self.factor)

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.SGD(self.parameters(), lr=1.0)}


NO_AVERAGE = Average(kind="none", decay=0.0, start=0.0)


def weights(module: nn.Module) -> Tensor:
    """A copy of all its parameters, as one vector."""
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def new_run(folder: Path, slug: str = "") -> RunDirectory:
    directory = RunDirectory.create(folder, slug)
    directory.write_config({"seed": 0, "trainer": {"steps": 12}}, {"task": "toy"}, [])
    return directory


def make_trainer(**changes: Any) -> Trainer:
    settings: dict[str, Any] = {
        "steps": 24,
        "epochs": None,
        "accumulate": 1,
        "clip": 1.0,
        "log_every": 5,
        "evaluate_every": 4,
        "schedule": Schedule(shape="cosine", warmup=3, hold=0, final=0.0),
        "selection": Selection(monitor="eval/accuracy", mode="max", patience=None, average=NO_AVERAGE),
        "checkpoint": CheckpointPolicy(every=3, keep_last=2, asynchronous=False),
        "profile": 0,
    }
    return Trainer(**(settings | changes))


def make_hardware(**changes: Any) -> Hardware:
    settings: dict[str, Any] = {
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "compile": False,
        "cuda_graphs": True,
        "deterministic": False,
        "devices": 1,
        "parallel": "ddp",
        "timeout": 60.0,
        "grace": 10.0,
    }
    hardware = Hardware(**(settings | changes))
    hardware.start()
    return hardware


def check_a_loss_that_is_not_finite(stepper: Stepper, task: Task) -> None:
    """Where numbers are read later: it changes no weight, nor does what follows, and the line names it."""
    batches = Points(8).train_batches(0)
    for number in range(1, 9):
        stepper.step(number, [next(batches)])
    stepper.check_weights(8)
    before, bad = weights(task), next(batches)
    stepper.step(9, [bad | {"x": bad["x"] * float("nan")}])
    for number in range(10, 14):
        stepper.step(number, [next(batches)])
    assert torch.equal(weights(task), before)
    with pytest.raises(DivergedError, match=r"loss 'model' is nan at step 9; the update was not applied"):
        stepper.take_metrics()
