import signal
from pathlib import Path

from torch import Tensor

from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.few_shot.maml import MAML
from aiexp.trainer.selection import Selection
from tests.endings import die, digest
from tests.forks import in_fork
from tests.task.few_shot.test_maml import ADAM, RUN_STEPS, make, waves
from tests.toys import NO_AVERAGE, make_hardware, make_trainer, new_run


def train(directory: RunDirectory, deadly_step: int | None = None) -> None:
    """One process's share of a run; killed between the two updates of a step if asked."""
    with Session(directory, directory.read_config()) as session:
        task = make(baseline=ADAM)
        if deadly_step is not None:
            kill_in_step(task, deadly_step)
        trainer = make_trainer(
            steps=RUN_STEPS, clip=None, log_every=3, evaluate_every=6,
            selection=Selection(monitor="eval/mse_1", mode="min", patience=None, average=NO_AVERAGE),
            checkpoint=CheckpointPolicy(every=4, keep_last=2, asynchronous=False),
        )  # fmt: skip
        session.finish(trainer.fit(task, waves(), make_hardware(), session))


def kill_in_step(task: MAML, number: int) -> None:
    original, left = task.baseline.forward, [number]

    def forward(points: Tensor) -> Tensor:
        left[0] -= task.training
        if left[0] == 0:
            die()
        return original(points)

    task.baseline.forward = forward  # pyright: ignore[reportAttributeAccessIssue]


def test_killed_and_resumed_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole = new_run(tmp_path, "whole")
    train(whole)
    for number in (3, 10):  # before the first checkpoint; after the second
        directory = new_run(tmp_path, f"killed-{number}")
        assert in_fork(lambda d=directory, n=number: train(d, n), tmp_path).code == -signal.SIGKILL
        assert in_fork(lambda d=directory: train(d), tmp_path).code == 0
        assert digest(directory) == digest(whole), f"killed in step {number}"
