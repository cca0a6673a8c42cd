"""Every phase of a run hears the first signal, and the end of a run cannot be changed by one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import aiexp
from aiexp.checkpoint.tensors import write_safetensors
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.session.stop import StopSignal
from aiexp.trainer.selection import Selection
from tests.forks import in_fork
from tests.toys import NO_AVERAGE, Points, make_hardware, make_trainer, new_run
from tests.trainer.test_trainer import Plain, Scripted, fit


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_closed_terminal_and_a_schedulers_warning_stop_a_run(number: int) -> None:
    with StopSignal() as stop:
        os.kill(os.getpid(), number)
        assert (stop.requested, stop.exit_code) == (number, 143)
    assert signal.getsignal(number) == signal.SIG_DFL


def test_nohup_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested is None
    finally:
        signal.signal(signal.SIGHUP, before)


class Endless(Plain):
    """The phase named by the file `where` never ends, and asks to be stopped."""

    where = ""

    def hang(self, where: str) -> None:
        if where == self.where:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Any:
        self.hang("preview" if not isinstance(dataset, Points) else split)
        return super().evaluate(dataset, split, report=report)

    def batches(self, dataset: Any, start: int) -> Any:
        self.hang("acting")
        yield from super().batches(dataset, start)


@pytest.mark.parametrize("where", ["preview", "acting", "eval", "test"])
def test_an_episode_that_never_ends_is_stopped_by_the_first_signal(tmp_path: Path, where: str) -> None:
    task = type("Task", (Endless,), {"where": where})()
    began = time.monotonic()
    ended = in_fork(lambda: fit(task, tmp_path, steps=4, evaluate_every=4), tmp_path)
    assert ended.code == 143, ended.stderr
    assert time.monotonic() - began < 15
    (path,) = tmp_path.glob("*/status.json")
    status = RunDirectory(path.parent).read_json("status.json")
    assert (status["state"], status["exit_code"]) == ("stopped", 143)


def test_a_rank_hears_a_signal_that_comes_from_two_sides_once(tmp_path: Path) -> None:
    """A scheduler signals every process of a job, and so does the one that has started it."""

    def body() -> int:
        with StopSignal(same_seconds=5.0) as stop:
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
        return stop.requested or 0

    ended = in_fork(body, tmp_path)
    assert ended.code == signal.SIGINT, ended.stderr
    assert ended.stderr.count("finishing this step") == 1


def test_no_signal_changes_a_recorded_end(tmp_path: Path) -> None:
    def body() -> None:
        with StopSignal() as stop:
            stop.outcome = 0
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)

    ended = in_fork(body, tmp_path)
    assert (ended.code, ended.stderr) == (0, "")


class Counted(Scripted):
    """Its test score is in no buffer, but in its extra state."""

    def evaluate(self, dataset: Any, split: str, *, report: bool = False) -> Any:
        evaluation = super().evaluate(dataset, split, report=report)
        if split == "eval":
            self.extra = self.score.item()
        evaluation.metrics["extra"] = self.extra
        return evaluation

    def extra_state(self) -> dict[str, Any]:
        return {"extra": self.extra}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.extra = state["extra"]


def test_the_best_checkpoint_is_tested_with_its_own_extra_state(tmp_path: Path) -> None:
    directory = new_run(tmp_path)
    selection = Selection(monitor="eval/score", mode="max", patience=None, average=NO_AVERAGE)
    with Session(directory, directory.read_config()) as session:
        trainer = make_trainer(steps=6, evaluate_every=2, selection=selection)
        metrics = trainer.fit(Counted([0.1, 0.9, 0.3]), Points(), make_hardware(), session)
    assert metrics["test/extra"] == metrics["test/score"] == 0.9


def test_the_same_tensors_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    tensors = {name: torch.full((2,), float(i)) for i, name in enumerate("badc")}
    write_safetensors(tmp_path / "one", tensors)
    write_safetensors(tmp_path / "other", dict(sorted(tensors.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


# Python imports it at its start: from then on, importing torch takes 40 s.
SLOW = """
import sys, time
from importlib.machinery import ModuleSpec
class Slow:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "torch._utils" else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        time.sleep(40)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_while_torch_is_imported_does_not_wait_for_it(tmp_path: Path, number: int) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/sitecustomize.py").write_text(SLOW)
    path = os.pathsep.join([str(tmp_path / "slow"), str(Path(aiexp.__file__).parents[1])])
    words = ["run", "task=maml_sine", "tracker=none", "hardware=cpu", "hardware.threads=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "aiexp", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while "running" not in "".join(p.read_text() for p in tmp_path.glob("outputs/*/2*/status.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)  # until torch is asked for
    process.send_signal(number)
    began = time.monotonic()
    _, errors = process.communicate(timeout=100)
    assert time.monotonic() - began < 20
    assert process.returncode == 128 + number
    assert errors.startswith("aiexp: stopped, before the first checkpoint; continue with: aiexp resume")
    (path,) = tmp_path.glob("outputs/*/2*/status.json")
    assert '"state": "stopped"' in path.read_text()
