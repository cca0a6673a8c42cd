"""`aiexp resume` on runs of one's own small network: whole commands, each in a fork."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from aiexp.trainer.loop import Loop
from tests.command.own_runs import RUN, aiexp, latest, lines, run
from tests.endings import at_step, digest


def stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def stop_in_the_final_evaluation() -> None:
    original = Loop.evaluate

    def evaluate(self: Loop, split: str, **settings: Any) -> Any:
        if split == "test":
            stop()
        return original(self, split, **settings)

    Loop.evaluate = evaluate


def test_a_network_whose_layers_have_an_order_is_resumed_as_itself(folder: Path) -> None:
    expected = run("whole", "trainer.epochs=3")
    directory = run("stopped", "trainer.epochs=3", code=130, before=lambda: at_step(13, stop))
    ended = aiexp("resume", "stopped/latest")
    assert ended.code == 0, ended.stderr
    assert lines(directory) == lines(expected)
    assert digest(directory) == digest(expected)
    assert directory.read_config() | {"outputs": ""} == expected.read_config() | {"outputs": ""}


EARLY = ["trainer.selection.monitor=eval/accuracy", "trainer.selection.patience=1", "trainer.epochs=30"]


def test_an_early_stopped_run_is_resumed_as_the_line_after_ctrl_c_says(folder: Path) -> None:
    expected = run("whole", *EARLY, "trainer.log_every=7")
    assert expected.read_json("status.json")["step"] < 300
    ended = aiexp(*RUN, *EARLY, "trainer.log_every=7", before=stop_in_the_final_evaluation)
    assert ended.code == 130, ended.stderr
    command = ["resume", *ended.stderr.rpartition("aiexp resume ")[2].split()]
    ended = aiexp(*command)
    assert ended.code == 0, ended.stderr
    assert "early stopping has ended the training" in ended.stdout
    assert lines(latest("outputs")) == lines(expected)
    ended = aiexp(*command, "trainer.epochs=31")
    assert ended.code == 0, ended.stderr
    assert lines(latest("outputs")) == lines(expected)
    ended = aiexp(*command)
    assert "trainer.selection.patience=null (early stopping has ended it)" in ended.stdout
    ended = aiexp(*command, "trainer.selection.patience=null", "trainer.epochs=10")
    assert ended.code == 0, ended.stderr
    assert latest("outputs").read_json("status.json")["step"] == 100


@pytest.mark.parametrize("change", ["trainer.epochs=2", "trainer.log_every=3"])
def test_an_ended_run_with_nothing_to_do_is_left_alone(folder: Path, change: str) -> None:
    directory = run("outputs", "trainer.epochs=2")
    before = lines(directory)
    ended = aiexp("resume", "outputs/latest", change)
    assert (ended.code, ended.stdout.split(":")[0]) == (0, "already complete"), ended.stderr
    assert lines(directory) == before
    assert "test/accuracy" in before[-1]


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (["trainer.epochs=1"], "trainer.epochs=N, N > 1"),
        (["trainer.steps=7", "trainer.epochs=null"], "trainer.steps=N, N > 7"),
    ],
)
def test_what_makes_a_finished_run_go_on_is_said_and_does(folder: Path, length: list[str], said: str) -> None:
    directory = run("outputs", *length)
    before = directory.read_json("status.json")["step"]
    ended = aiexp("resume", "outputs/latest")
    head = "already complete: outputs/latest; more: "
    assert (ended.code, ended.stdout) == (0, f"{head}aiexp resume outputs/latest {said}\n")
    key = said.split("=")[0]
    command = ended.stdout.removeprefix(f"{head}aiexp ").split(",")[0].replace("=N", "=9")
    assert command.split() == ["resume", "outputs/latest", f"{key}=9"]
    ended = aiexp(*command.split())
    assert ended.code == 0, ended.stderr
    assert directory.read_json("status.json")["step"] > before
