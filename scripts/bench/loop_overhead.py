"""Microseconds a step that a trainer adds to a bare PyTorch loop: a 16-32-2 network, batch 8, fp32, CPU.

    .venv/bin/python scripts/bench/loop_overhead.py --json outputs/loop_overhead.json

The bare loop, ours and the peers run in turn in each round, so that the machine's speed cancels out; the
median over the rounds is printed. Lightning takes part where it is installed.
"""

import argparse
import importlib.util
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from side import LOOP, Claim, write_json
from torch import Tensor, nn

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.hardware.hardware import Hardware
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.base import Task, Update
from aiexp.trainer.average import Average
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.selection import Selection
from aiexp.trainer.trainer import Trainer

BATCH_SIZE, LOG_EVERY = 8, 100


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))


class Batches:
    """The same 64 batches again and again, made beforehand: loading costs nothing for anyone."""

    batch_size = BATCH_SIZE

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(64, BATCH_SIZE, 16, generator=generator)
        self.y = torch.randint(0, 2, (64, BATCH_SIZE), generator=generator)
        self.batches = [{"x": x, "y": y} for x, y in zip(self.x, self.y, strict=True)]

    def num_examples(self, split: str) -> int:
        return 64 * BATCH_SIZE if split == "train" else 0

    def batches_per_epoch(self) -> int:
        return 64

    def train_batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.batches

    def eval_batches(self, split: str) -> Iterator[Any]:
        return iter(())

    def fingerprint(self) -> str:
        return ""


class Classify(Task):
    def __init__(self) -> None:
        super().__init__()
        self.model = network()

    def train_step(self, batch: Any) -> Iterator[Update]:
        yield Update(loss=F.cross_entropy(self.model(batch["x"]), batch["y"]))

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.SGD(self.parameters(), lr=0.01)}


def bare(steps: int) -> float:
    model, batches = network(), Batches().train_batches(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    start = time.perf_counter()
    for _ in range(steps):
        batch = next(batches)
        loss = F.cross_entropy(model(batch["x"]), batch["y"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


NO_AVERAGE = Average(kind="none", decay=0.0, start=0.0)


def ours(steps: int) -> float:
    trainer = Trainer(
        steps=steps, epochs=None, accumulate=1, clip=None, log_every=LOG_EVERY, evaluate_every=10**9,
        schedule=Schedule(shape="constant", warmup=0, hold=0, final=0.0),
        selection=Selection(monitor=None, mode="max", patience=None, average=NO_AVERAGE),
        checkpoint=CheckpointPolicy(every=10**9, keep_last=1, asynchronous=False), profile=0,
    )  # fmt: skip
    hardware = Hardware(
        device="cpu", precision="fp32", threads=1, compile=False, cuda_graphs=False, deterministic=False,
        devices=1, parallel="ddp", timeout=600, grace=120,
    )  # fmt: skip
    hardware.start()
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
    ):
        directory = RunDirectory.create(Path(folder), "")
        directory.write_config({"seed": 0}, {}, [])
        with Session(directory, directory.read_config()) as session:
            task = Classify()
            start = time.perf_counter()
            trainer.fit(task, Batches(), hardware, session)
            return time.perf_counter() - start


def hugging_face(steps: int) -> float:
    from transformers import Trainer as Peer
    from transformers import TrainingArguments

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.network(x)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    data = Batches()
    rows = [{"x": x, "labels": y} for x, y in zip(data.x.flatten(0, 1), data.y.flatten(), strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=BATCH_SIZE, optim="sgd",
            learning_rate=0.01, logging_steps=LOG_EVERY, save_strategy="no", report_to="none", use_cpu=True,
            disable_tqdm=True, max_grad_norm=0.0, lr_scheduler_type="constant", remove_unused_columns=False,
            dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = Peer(model=Model(), args=arguments, train_dataset=rows, data_collator=collate)
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            start = time.perf_counter()
            trainer.train()
            return time.perf_counter() - start


def collate(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def lightning(steps: int) -> float:
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = F.cross_entropy(self.network(batch["x"]), batch["y"])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_steps=steps, accelerator="cpu", logger=L.pytorch.loggers.CSVLogger(folder),
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            log_every_n_steps=LOG_EVERY,
        )  # fmt: skip
        start = time.perf_counter()
        trainer.fit(Module(), torch.utils.data.DataLoader(Batches().batches, batch_size=None))
        return time.perf_counter() - start


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    over = {name: values["over_bare"] for name, values in result["loops"].items() if name != "bare loop"}
    measured = ", ".join(f"{name} {value:.0f} us" for name, value in over.items())
    what = "a training step over the same step of a bare PyTorch loop, tiny network, one thread"
    return [Claim(field=LOOP, what=what, measured=measured)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    loops: dict[str, Callable[[int], float]] = {"bare loop": bare, f"aiexp {version('aiexp')}": ours}
    if importlib.util.find_spec("accelerate"):
        loops[f"Hugging Face Trainer {version('transformers')}"] = hugging_face
    if importlib.util.find_spec("lightning"):
        loops[f"Lightning {version('lightning')}"] = lightning
    for run in loops.values():
        run(100)  # imports and first allocations
    rounds = [
        {name: run(arguments.steps) / arguments.steps * 1e6 for name, run in loops.items()}
        for _ in range(arguments.rounds)
    ]
    result = {
        name: {
            "microseconds_per_step": median(r[name] for r in rounds),
            "over_bare": median(r[name] - r["bare loop"] for r in rounds),
        }
        for name in loops
    }
    print(f"torch {torch.__version__}, {arguments.rounds} rounds of {arguments.steps} steps, medians")
    for name, values in result.items():
        print(
            f"{name:32}{values['microseconds_per_step']:8.0f} us a step"
            f"{values['over_bare']:8.0f} us over bare"
        )
    write_json(arguments.json, {"rounds": rounds, "loops": result}, "transformers", "lightning")


if __name__ == "__main__":
    main()
