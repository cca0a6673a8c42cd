"""Evaluating a split so that training goes on as if nothing had been evaluated."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields

import torch

from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.dataset.base import Dataset
from aiexp.hardware.hardware import Hardware
from aiexp.task.base import Task
from aiexp.task.contract import checked_evaluation, misfits
from aiexp.task.report import Evaluation


def evaluate(
    task: Task,
    dataset: Dataset,
    split: str,
    hardware: Hardware,
    *,
    report: bool = False,
    interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Evaluation:
    """The task's evaluation of a split, everything under its full name (`eval/accuracy`).

    Args:
        task: Left in the mode it was in.
        dataset: Of whatever the task takes.
        split: "eval" or "test".
        hardware: Gives the precision.
        report: Also make the pictures and tables.
        interruptible: The body that a stop request may end; nothing is left changed then.

    Raises:
        ConfigError: `evaluate` breaks its contract.
    """
    was_training, random = task.training, random_state()
    world = hardware.world
    world.share_buffers(task)
    # What is gathered of sharded weights in inference mode could not be trained any more.
    no_gradients = torch.no_grad if world.is_sharded else torch.inference_mode
    task.eval()
    try:
        # Innermost: a stop request must not fall between changing and restoring anything.
        with misfits(), no_gradients(), hardware.autocast(), interruptible():
            result = checked_evaluation(task, task.evaluate(dataset, split, report=report))
    finally:
        task.train(was_training)
        load_random_state(random)  # training draws the same numbers however often it is evaluated
    named = {f.name: getattr(result, f.name) for f in fields(result)}
    return Evaluation(**{
        part: {f"{split}/{name}": value for name, value in values.items()} for part, values in named.items()
    })  # fmt: skip
