"""`aiexp check [overrides] [-m]`: everything short of training, with a bill of what training would take."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from aiexp.command.run import split
from aiexp.config.compose import compose
from aiexp.config.objects.address import addresses
from aiexp.config.objects.build import build
from aiexp.text.terminal import out, out_lines

if TYPE_CHECKING:
    from torch import nn

    from aiexp.hardware.hardware import Hardware
    from aiexp.task.base import Task
    from aiexp.trainer.trainer import Trainer

HELP = """\
usage: aiexp check [KEY=VALUE ...] [-m]

Composes the config, binds every constructor's arguments, counts the parameters on the meta device,
builds everything, and runs a few batches. Nothing is written. Prints parameters, memory, steps and
the estimated time. Takes the same overrides as aiexp run:
  aiexp check task=bert_finetune dataset.batch_size=64
With -m it lists every job of the sweep, composes each, and estimates the time
of each and of the whole:
  aiexp check -m task=mnist_cnn seed=0,1,2 task.optimizer.lr=1e-3,1e-2
"""
PROBE_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a run would take.

    Args:
        total_steps: Its length in optimizer steps.
        step_seconds: Median of a few steps, without evaluations.
        examples: In the training split.
    """

    total_steps: int
    step_seconds: float
    examples: int

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return self.total_steps * self.step_seconds


def main(argv: list[str]) -> int:
    """Prints the bill; returns 0 or raises what training would."""
    if {"-h", "--help"} & set(argv):
        out_lines(HELP)
        return 0
    line = split(argv)
    if "multirun" in line.flags:
        from aiexp.command.check_sweep import check_sweep_jobs

        return check_sweep_jobs(line.overrides, config_dir=line.config_dir)
    config = compose(line.overrides, config_dir=line.config_dir).config
    say("config", "valid: every key, type and target")
    with addresses(config):
        check(config)
    return 0


def check(config: DictConfig) -> Bill:
    """Builds everything a config names and runs a few steps; says what it finds."""
    hardware: Hardware = build(config["hardware"])
    hardware.set_environment()
    import torch

    from aiexp.checkpoint.state import seed_everything

    hardware.start()
    say("hardware", hardware.describe())
    seed_everything(config["seed"])
    dataset = build(config["dataset"])
    say("dataset", ", ".join(f"{dataset.num_examples(s)} {s}" for s in ("train", "eval", "test")))
    with torch.device("meta"):
        say("model", describe_parameters(build(config["model"])))
    task: Task = build(config["task"], model=build(config["model"]), dataset=dataset)
    trainer: Trainer = build(config["trainer"])
    return probe(task, dataset, trainer, hardware)


def say(name: str, value: str) -> None:
    """One aligned line."""
    out(f"{name:<10}{value}")


def describe_parameters(module: "nn.Module") -> str:
    """Parameters of a module, and the memory that training them in fp32 with Adam takes."""
    count = sum(p.numel() for p in module.parameters())
    # weights, gradients and two moments, 4 bytes each; activations come on top
    return f"{count:,} parameters, {count * 16 / 2**20:.0f} MiB with gradients and Adam's moments"


def probe(task: "Task", dataset: Any, trainer: "Trainer", hardware: "Hardware") -> Bill:
    """Runs a few training steps and one evaluation batch on weights that are thrown away."""
    import torch

    from aiexp.dataset.preview import first_batch
    from aiexp.hardware.memory import peak_memory_bytes
    from aiexp.trainer.stepper import Stepper

    hardware.prepare(task)
    total_steps = trainer.total_steps(dataset)
    stepper = Stepper(task, hardware, schedule=trainer.schedule, total_steps=total_steps, clip=trainer.clip)
    task.eval()
    if dataset.num_examples("eval"):
        with torch.inference_mode(), hardware.autocast():
            names = [f"eval/{n}" for n in task.evaluate(first_batch(dataset), "eval").metrics]
        trainer.selection.check(names)
        say("evaluates", ", ".join(names))
    task.train()
    batches: Iterator[Any] = task.batches(dataset, 0)
    seconds: list[float] = []
    for number in range(1, PROBE_STEPS + 1):
        taken = list(islice(batches, trainer.accumulate))
        start = time.perf_counter()
        stepper.step(number, taken)
        seconds.append(time.perf_counter() - start)
    step = median(seconds[1:])  # the first step allocates
    say(
        "steps",
        f"{total_steps} of {step:.3f} s: about {total_steps * step / 60:.1f} min, evaluations besides",
    )
    say("memory", f"{peak_memory_bytes() / 2**30:.1f} GiB at most so far")
    return Bill(total_steps=total_steps, step_seconds=step, examples=dataset.num_examples("train"))
