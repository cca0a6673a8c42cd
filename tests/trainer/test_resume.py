"""Killed anywhere and resumed, a run ends in the same bytes: weights, optimizer, randomness, metrics.

What dies, dies in a fork; the resume is this process's, to which a fork would add nothing but its price.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from aiexp.checkpoint import writing as checkpoint_module
from aiexp.checkpoint.state import seed_everything
from aiexp.checkpoint.store import CheckpointPolicy
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.base import Task
from tests.damage import copy_run, fit_manifest
from tests.endings import at_step, die_at, digest
from tests.forks import in_fork
from tests.toys import NO_AVERAGE, Adversaries, Classify, Points, Replay, make_hardware, make_trainer, new_run

STEPS = 12
TASKS: list[type[Task]] = [Classify, Adversaries, Replay]


def train(directory: RunDirectory, task_class: type[Task], **changes: Any) -> Task:
    """One process's share of a run: from the newest checkpoint to the end."""
    hardware = make_hardware()
    with Session(directory, directory.read_config()) as session:
        seed_everything(0)
        task = task_class()
        monitor = None if task_class is Adversaries else "eval/accuracy"
        from aiexp.trainer.selection import Selection

        selection = Selection(monitor=monitor, mode="max", patience=None, average=NO_AVERAGE)
        trainer = make_trainer(**({"steps": STEPS, "selection": selection} | changes))
        session.finish(trainer.fit(task, Points(), hardware, session))
    return task


@pytest.fixture(params=TASKS, ids=lambda c: c.__name__)
def task_class(request: pytest.FixtureRequest) -> type[Task]:
    return request.param


def reference(tmp_path: Path, task_class: type[Task], **changes: Any) -> str:
    directory = new_run(tmp_path, "reference")
    train(directory, task_class, **changes)
    return digest(directory)


def test_the_same_run_twice_is_the_same(tmp_path: Path, task_class: type[Task]) -> None:
    assert reference(tmp_path, task_class) == reference(tmp_path, task_class)


def test_killed_at_every_step(tmp_path: Path, task_class: type[Task]) -> None:
    expected = reference(tmp_path, task_class)
    for number in range(1, STEPS + 1):
        directory = new_run(tmp_path, f"killed-{number}")

        def killed(number: int = number, directory: RunDirectory = directory) -> None:
            die_at(number)
            train(directory, task_class)

        assert in_fork(killed, tmp_path).code == -signal.SIGKILL
        train(directory, task_class)
        assert digest(directory) == expected, f"killed at step {number}"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_stopped_at_every_step_loses_no_step(
    tmp_path: Path, task_class: type[Task], number: int, code: int
) -> None:
    expected = reference(tmp_path, task_class)
    for step in range(1, STEPS, 2):
        directory = new_run(tmp_path, f"stopped-{step}")

        def stopped(step: int = step, directory: RunDirectory = directory) -> None:
            at_step(step, lambda: os.kill(os.getpid(), number))
            train(directory, task_class)

        ended = in_fork(stopped, tmp_path)
        assert ended.code == code
        assert "aiexp resume" in ended.stderr
        status = directory.read_json("status.json")
        assert (status["state"], status["step"], status["exit_code"]) == ("stopped", step, code)
        train(directory, task_class)
        assert digest(directory) == expected, f"stopped at step {step}"


@pytest.mark.parametrize("asynchronous", [pytest.param(False, marks=pytest.mark.slow), True])
def test_killed_at_every_disk_operation(tmp_path: Path, asynchronous: bool) -> None:
    """Dies at the n-th fsync, rename or write, for n = 1, 4, ... until a run gets through.

    A short run in which a best checkpoint stays and an older one goes.
    """
    policy = CheckpointPolicy(every=2, keep_last=1, asynchronous=asynchronous)
    changes = {"steps": 6, "evaluate_every": 2, "checkpoint": policy}
    expected = reference(tmp_path, Classify, **changes)
    for count in range(1, 400, 3):
        directory = new_run(tmp_path, f"disk-{count}")

        def dying(count: int = count, directory: RunDirectory = directory) -> None:
            die_at_operation(count)
            train(directory, Classify, **changes)

        code = in_fork(dying, tmp_path).code
        assert code in (0, -signal.SIGKILL)
        train(directory, Classify, **changes)
        assert digest(directory) == expected, f"died at disk operation {count}"
        if code == 0:
            assert count > 30, "too few operations were hit for this test to mean anything"
            return
    pytest.fail("the run never got through")


def die_at_operation(count: int) -> None:
    """Kills this process before and half-way through its n-th durable operation."""
    left = [count]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    checkpoint_module.write_bytes = counted(checkpoint_module.write_bytes)


def test_stop_during_evaluation_evaluates_once(tmp_path: Path) -> None:
    expected = reference(tmp_path, Classify)
    directory = new_run(tmp_path, "evaluation")

    def stopped() -> None:
        calls = [0]
        original = Classify.evaluate

        def evaluate(self: Classify, dataset: Any, split: str, *, report: bool = False) -> Any:
            calls[0] += 1
            if calls[0] == 3:  # the preview, step 4, then step 8
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, dataset, split, report=report)

        Classify.evaluate = evaluate
        train(directory, Classify)

    assert in_fork(stopped, tmp_path).code == 143
    assert directory.read_json("status.json")["step"] == 8
    train(directory, Classify)
    assert digest(directory) == expected


@pytest.mark.parametrize("part", ["stepper", "selection", "random", "task", "model"])
def test_each_part_of_the_state_matters(tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving one part out must change the end; otherwise the tests above prove nothing about it."""
    expected = reference(tmp_path, Classify)
    directory = new_run(tmp_path, "ablation")

    def stopped() -> None:
        at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(directory, Classify)

    assert in_fork(stopped, tmp_path).code == 143
    targets = {
        "stepper": ("aiexp.trainer.stepper.Stepper.load_state", lambda *_: None),
        "selection": ("aiexp.trainer.selection.Selection.load_state", lambda *_: None),
        "random": ("aiexp.trainer.loop.load_random_state", lambda *_: None),
        "task": ("tests.toys.Classify.load_extra_state", lambda *_: None),
        "model": ("torch.nn.Module.load_state_dict", lambda *_, **__: None),
    }
    name, nothing = targets[part]
    monkeypatch.setattr(name, nothing)
    train(directory, Classify)
    assert digest(directory) != expected


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    directory = new_run(tmp_path, "finished")
    train(directory, Classify)
    before = digest(directory)
    train(directory, Classify)
    assert digest(directory) == before


def test_evaluation_leaves_training_alone(tmp_path: Path) -> None:
    weights: list[bytes] = []
    for every in (1, 12):
        directory = new_run(tmp_path, f"every-{every}")
        train(directory, Classify, evaluate_every=every)
        weights.append((directory.path / f"checkpoints/step-{STEPS:08d}/model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_forged_state_of_the_stepper_is_one_line(tmp_path: Path) -> None:
    """Of the right sha256: what torch would take silently, or find out in the middle of a step."""
    directory = new_run(tmp_path, "forged")

    def stopped() -> None:
        at_step(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(directory, Classify)

    assert in_fork(stopped, tmp_path).code == 143
    for older in sorted(directory.path.glob("checkpoints/step-*"))[:-1]:
        shutil.rmtree(older)  # nothing to fall back on
    for number, (path, value, expected) in enumerate(FORGED):
        run = copy_run(directory.path, tmp_path / f"forged-{number}")
        checkpoint = run / "checkpoints/step-00000007"
        forge(checkpoint / "state.json", ["state", "stepper", *path], value)
        fit_manifest(checkpoint)
        ended = in_fork(lambda run=run: train(RunDirectory(run), Classify), tmp_path)
        assert (ended.code, expected in ended.stderr) == (4, True), (path, ended.stderr)
        assert ended.stderr.count("\n") == 1, ended.stderr


GROUP = ["optimizers", "model", "param_groups", 0]
MOMENTS = ["optimizers", "model", "state", "__items__", 0, 1]
FORGED: list[tuple[list[Any], Any, str]] = [
    ([*GROUP, "betas"], None, "model/0/betas"),
    ([*GROUP, "betas"], {"__tuple__": [0.9]}, "model/0/betas"),
    ([*GROUP, "eps"], "small", "model/0/eps"),
    ([*GROUP, "weight_decay"], ..., "model/0/weight_decay"),
    ([*GROUP, "initial_lr"], ..., "model/0/initial_lr"),
    ([*GROUP, "lr"], [0.1], "model/0/lr"),
    ([*GROUP, "amsgrad"], 3, "model/0/amsgrad"),
    ([*GROUP, "params"], 3, "does not fit this model or optimizer"),
    ([*MOMENTS, "exp_avg"], ..., "does not say what /stepper/optimizers/model/state/0/exp_avg is"),
    ([*MOMENTS, "step"], "7", "does not say what /stepper/optimizers/model/state/0/step is"),
    (["optimizers", "model", "state"], {}, "does not say what"),
    (["optimizers", "model"], 3, "stepper.optimizers.model is 3"),
    (["optimizers", "other"], {}, "does not fit the optimizers: other"),
    (["optimizers"], ..., "stepper.optimizers is missing"),
    (["window"], {"loss": "high"}, "stepper.window.loss is 'high', not a list"),
    (["window"], {"loss": [1.0]}, "stepper.window.loss is a list, not a list of two"),
    (["scaler"], {"scale": "x"}, "stepper.scaler.scale is 'x', not a number"),
]


def forge(file: Path, path: list[Any], value: Any) -> None:
    """Sets the value at a path inside a JSON file; ... takes its key out."""
    content = json.loads(file.read_text())
    *inner, last = path
    node = reduce(getitem, inner, content)
    if value is ...:
        del node[last]
    else:
        node[last] = value
    file.write_text(json.dumps(content))
