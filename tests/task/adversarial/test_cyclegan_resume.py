import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.adversarial.cyclegan import CycleGAN
from aiexp.trainer.selection import Selection
from aiexp.world.world import World
from tests.endings import die, digest
from tests.forks import in_fork
from tests.task.adversarial.test_cyclegan import RUN_STEPS, make, make_dataset, make_stepper
from tests.toys import NO_AVERAGE, make_hardware, make_trainer, new_run


def train(directory: RunDirectory, deadly_step: int | None = None) -> None:
    """One process's share of a run; killed in the middle of a step if asked."""
    with Session(directory, directory.read_config()) as session:
        task = make()
        if deadly_step is not None:
            kill_in_step(task, deadly_step)
        trainer = make_trainer(
            steps=RUN_STEPS, clip=None, log_every=3, evaluate_every=6,
            selection=Selection(monitor=None, mode="max", patience=None, average=NO_AVERAGE),
            checkpoint=CheckpointPolicy(every=4, keep_last=2, asynchronous=False),
        )  # fmt: skip
        session.finish(trainer.fit(task, make_dataset(), make_hardware(), session))


def kill_in_step(task: CycleGAN, number: int) -> None:
    """Kills this process after the generators' update of a step."""
    original, left = task.discriminator_update, [number]

    def discriminator_update(*images: Tensor) -> Any:
        left[0] -= 1
        if left[0] == 0:
            die()
        return original(*images)

    task.discriminator_update = discriminator_update  # pyright: ignore[reportAttributeAccessIssue]


def test_killed_and_resumed_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Weights, moments, both pools and every logged number."""
    whole = new_run(tmp_path, "whole")
    train(whole)
    assert b"pools" in (whole.path / f"checkpoints/step-{RUN_STEPS:08d}/state.json").read_bytes()
    for number in (3, 10):  # before the first checkpoint; with full pools
        directory = new_run(tmp_path, f"killed-{number}")
        assert in_fork(lambda d=directory, n=number: train(d, n), tmp_path).code == -signal.SIGKILL
        assert in_fork(lambda d=directory: train(d), tmp_path).code == 0
        assert digest(directory) == digest(whole), f"killed in step {number}"


def test_a_restored_pool_matters(tmp_path: Path) -> None:
    """The test above would fail if pools were forgotten."""
    task = make()
    stepper = make_stepper(task)
    batches = make_dataset().train_batches(0)
    for number in range(1, 6):
        stepper.step(number, [next(batches)])
    state = task.extra_state()
    assert [len(state["pools"][side]) for side in "ab"] == [3, 3]
    other = make()
    other.load_extra_state(state)
    for side in "ab":
        for mine, theirs in zip(other.pools[side].images, task.pools[side].images, strict=True):
            assert torch.equal(mine, theirs)
            assert mine.data_ptr() != theirs.data_ptr()


def test_other_ranks_go_on_with_the_pools_that_were_saved() -> None:
    states = [{"pools": {"a": [torch.full((1,), rank)], "b": []}} for rank in range(2)]
    task = make()
    assert [task.reshape_state(states, World(rank, 3))["pools"]["a"][0].item() for rank in range(3)] == [
        0,
        1,
        0,
    ]
