"""`aiexp check [overrides]`: everything short of training, with a bill of what training would take."""

import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from aiexp.build import build
from aiexp.config import compose

if TYPE_CHECKING:
    from torch import nn

    from aiexp.hardware import Hardware
    from aiexp.task.base import Task
    from aiexp.trainer import Trainer

HELP = """\
usage: aiexp check [KEY=VALUE ...]

Composes the config, binds every constructor's arguments, counts the parameters on the meta device,
builds everything, and runs a few batches. Nothing is written. Prints parameters, memory, steps and
the estimated time. Takes the same overrides as aiexp run:
  aiexp check task=bert_finetune dataset.batch_size=64
"""
PROBE_STEPS = 5


def main(argv: list[str]) -> int:
    """Prints the bill; returns 0 or raises what training would."""
    if {"-h", "--help"} & set(argv):
        print(HELP, end="")
        return 0
    config = compose(argv).config
    say("config", "valid: every key, type and target")
    hardware: Hardware = build(config["hardware"])
    hardware.set_environment()
    import torch

    from aiexp.state import seed_everything

    hardware.start()
    say("hardware", hardware.describe())
    seed_everything(config["seed"])
    dataset = build(config["dataset"])
    say("dataset", ", ".join(f"{dataset.num_examples(s)} {s}" for s in ("train", "eval", "test")))
    with torch.device("meta"):
        say("model", describe_parameters(build(config["model"])))
    task: Task = build(config["task"], model=build(config["model"]), dataset=dataset)
    trainer: Trainer = build(config["trainer"])
    probe(task, dataset, trainer, hardware)
    return 0


def say(name: str, value: str) -> None:
    """One aligned line."""
    print(f"{name:<10}{value}", flush=True)


def describe_parameters(module: "nn.Module") -> str:
    """Parameters of a module, and the memory that training them in fp32 with Adam takes."""
    count = sum(p.numel() for p in module.parameters())
    # weights, gradients and two moments, 4 bytes each; activations come on top
    return f"{count:,} parameters, {count * 16 / 2**20:.0f} MiB with gradients and Adam's moments"


def probe(task: "Task", dataset: Any, trainer: "Trainer", hardware: "Hardware") -> None:
    """Runs a few training steps and one evaluation batch on weights that are thrown away."""
    import torch

    from aiexp.dataset.preview import first_batch
    from aiexp.session import peak_memory_bytes
    from aiexp.stepper import Stepper

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
