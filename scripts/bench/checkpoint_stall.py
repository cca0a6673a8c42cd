"""Seconds that training waits for a checkpoint: written while it waits, and while it goes on.

    .venv/bin/python scripts/bench/checkpoint_stall.py --json outputs/checkpoint_stall.json

A network of square layers with AdamW; both ways take turns in each round, so that the machine's speed cancels
out; the median over the rounds of the ratio within a round is printed. All that a step waits for counts:
looking at the weights, copying the state, publishing the checkpoint. The first round, which makes the memory
for copies, is shown and not counted.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from side import write_json
from torch import Tensor, nn

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.hardware.hardware import Hardware
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.base import Task, Update
from aiexp.trainer.average import Average
from aiexp.trainer.loop import Loop
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.selection import Selection
from aiexp.trainer.trainer import Trainer

WIDTH = 2048


class Layers(Task):
    """As many square layers as make the wanted number of parameters; the loss is the mean square."""

    def __init__(self, parameters: float) -> None:
        super().__init__()
        count = -(-int(parameters) // (WIDTH * WIDTH + WIDTH))
        self.model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(count)))

    def train_step(self, batch: Tensor) -> Iterator[Update]:
        yield Update(loss=self.model(batch).square().mean())

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"model": torch.optim.AdamW(self.model.parameters())}


class Noise:
    """The same batch again and again."""

    batch_size = 8

    def num_examples(self, split: str) -> int:
        return self.batch_size if split == "train" else 0

    def batches_per_epoch(self) -> int:
        return 1

    def train_batches(self, start: int) -> Iterator[Tensor]:
        while True:
            yield torch.ones(self.batch_size, WIDTH)

    def eval_batches(self, split: str) -> Iterator[Tensor]:
        return iter(())

    def fingerprint(self) -> str:
        return "noise"


def make_loop(task: Task, hardware: Hardware, session: Session) -> Loop:
    data: Any = Noise()
    trainer = Trainer(
        steps=1_000_000, epochs=None, accumulate=1, clip=None, log_every=1000, evaluate_every="epoch",
        schedule=Schedule(shape="constant", warmup=0, hold=0, final=0),
        selection=Selection(
            monitor=None, mode="max", patience=None, average=Average(kind="none", decay=0.0, start=0.0)
        ),
        checkpoint=CheckpointPolicy(every=1000, keep_last=1, asynchronous=False), profile=0,
    )  # fmt: skip
    return Loop(trainer, task, data, hardware, session)


def seconds(body: Any) -> float:
    """Of one call, on a GPU until it is idle."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    start = time.perf_counter()
    body()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def step(loop: Loop) -> float:
    loop.step += 1
    return seconds(lambda: loop.stepper.step(loop.step, [torch.ones(Noise.batch_size, WIDTH)]))


def measure(loop: Loop, rounds: int) -> list[dict[str, float]]:
    """Of each round the seconds that training waits, each way, and those of a step alone and beside."""
    policy, found = loop.trainer.checkpoint, list[dict[str, float]]()
    for number in range(rounds + 1):
        alone = [step(loop) for _ in range(3)]
        loop.trainer.checkpoint = replace(policy, asynchronous=False)
        waiting = seconds(loop.save)
        step(loop)
        loop.trainer.checkpoint = replace(policy, asynchronous=True)
        start = time.perf_counter()
        stall, beside = seconds(loop.save), list[float]()
        path = loop.session.checkpoints.path(loop.step)
        while not path.exists():
            beside.append(step(loop))
            stall += seconds(lambda: loop.session.settle(wait=False))
        found.append(
            {
                "synchronous_seconds": waiting, "asynchronous_seconds": stall, "ratio": stall / waiting,
                "until_published_seconds": time.perf_counter() - start, "steps_meanwhile": len(beside),
                "step_seconds_alone": median(alone), "step_seconds_beside": median(beside),
            }
        )  # fmt: skip
        sys.stderr.write(f"round {number} of {rounds} done\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    parser.add_argument("--parameters", type=float, default=1e8, help="numbers in the network")
    parser.add_argument("--folder", type=Path, help="where checkpoints go; a temporary one")
    options = parser.parse_args()
    hardware = Hardware(
        device="auto", precision="fp32", threads=None, compile=False, deterministic=False, devices=1,
        parallel="ddp", timeout=600, grace=120,
    )  # fmt: skip
    hardware.set_environment()
    hardware.start()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        directory = RunDirectory.create(Path(folder), "")
        directory.write_config({"seed": 0}, {}, [])
        with Session(directory, directory.read_config()) as session:
            task = Layers(options.parameters)
            count = sum(p.numel() for p in task.parameters())
            rounds = measure(make_loop(task, hardware, session), options.rounds)
            session.settle()
    print(f"{count / 1e6:.0f} M parameters, {count * 12 / 2**30:.2f} GiB a checkpoint, {hardware.describe()}")
    print(
        f"{'round':>6} {'waits':>9} {'goes on':>9} {'ratio':>7} {'written in':>11} {'step':>8} {'beside':>8}"
    )
    for number, r in enumerate(rounds):
        print(
            f"{number or 'first':>6} {r['synchronous_seconds']:8.2f}s {r['asynchronous_seconds']:8.3f}s"
            f" {r['ratio']:6.1%} {r['until_published_seconds']:10.2f}s {r['step_seconds_alone']:7.3f}s"
            f" {r['step_seconds_beside']:7.3f}s"
        )
    ratio = median(r["ratio"] for r in rounds[1:])
    print(f"median ratio {ratio:.1%} (target: at most 10 %)")
    result = {"parameters": count, "hardware": hardware.record(), "median_ratio": ratio, "rounds": rounds}
    write_json(options.json, result)


if __name__ == "__main__":
    main()
