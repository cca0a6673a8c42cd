"""`aiexp sweep FILE` with the real W&B client against a server on loopback, and a run under its agent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp import cli
from aiexp.sweep.search import objective
from aiexp.sweep.wandb_file import read_sweep_file
from tests.forks import Ended, in_fork
from tests.lab import Lab, make_lab
from tests.test_run import TINY, folder
from tests.tracker.conftest import home, server
from tests.tracker.fake_wandb import FakeWandb

__all__ = ["folder", "home", "server"]  # fixtures
GOOD: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "eval/loss", "goal": "minimize"},
    "command": ["${env}", "aiexp", "run", "task=toy", "${args_no_hyphens}"],
    "parameters": {
        "trainer.steps": {"values": [1, 2]},
        "model": {"values": ["small", "large"]},
        "task.dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        "task.optimizer.lr": {"value": 1.0e-3},
    },
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def sweep(folder: Path, document: Any, *flags: str) -> Ended:
    """`aiexp sweep`, where an evaluation returns eval/loss."""
    (folder / "sweep.yaml").write_text(document if isinstance(document, str) else yaml.safe_dump(document))

    def body() -> int:
        objective.evaluated_names = lambda *_: ["eval/loss", "test/loss"]  # pyright: ignore
        return cli.main(["sweep", "sweep.yaml", *flags])

    return in_fork(body, folder)


def test_a_good_file_is_registered_and_the_agent_named(lab: Lab, server: FakeWandb) -> None:
    os.chdir(lab.root)
    ended = sweep(lab.root, GOOD)
    assert ended.code == 0, ended.stderr
    assert ended.stderr == "aiexp: registered; start agents with: wandb agent me/aiexp/sweep0\n"
    assert yaml.safe_load(ended.stdout) == GOOD
    assert server.sweeps["sweep0"]["config"] == GOOD
    assert server.unknown == []
    without = {k: v for k, v in GOOD.items() if k != "command"} | {"project": "mine"}
    ended = sweep(lab.root, without)
    assert "me/mine/sweep1" in ended.stderr
    assert server.sweeps["sweep1"]["config"]["command"] == ["${env}", "aiexp", "run", "${args_no_hyphens}"]


def test_without_a_server_it_is_one_line_and_exit_5(lab: Lab, home: Path) -> None:
    os.chdir(lab.root)
    for settings in (
        {},
        {"WANDB_MODE": "offline"},
        {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "local-" + 40 * "a"},
    ):
        os.environ.update(settings)
        try:
            ended = sweep(lab.root, GOOD)
        finally:
            for name in settings:
                del os.environ[name]
        assert ended.code == 5, ended.stderr
        assert ended.stderr.count("\n") == 1
        assert "a W&B sweep needs its server, but" in ended.stderr
        assert "hydra/sweeper=optuna" in ended.stderr
    assert sweep(lab.root, GOOD, "--dry-run").code == 0


def changed(**parameters: Any) -> dict[str, Any]:
    return GOOD | {"parameters": parameters}


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        ("a: [", ["cannot be read", "sweep.yaml"]),
        ("- a", ["not a mapping"]),
        (GOOD | {"methd": 1}, ["Did you mean 'method'?"]),
        (GOOD | {"method": "tpe"}, ["method is 'tpe'", "one of grid, random, bayes"]),
        (GOOD | {"parameters": {}}, ["no parameters"]),
        ({k: v for k, v in GOOD.items() if k != "metric"} | {"method": "bayes"}, ["bayes needs a metric"]),
        (GOOD | {"metric": {"name": "eval/loss"}}, ["a name and a goal"]),
        (GOOD | {"metric": {"name": "eval/los", "goal": "minimize"}}, ["Did you mean 'eval/loss'?"]),
        (GOOD | {"command": ["python", "train.py", "${args}"]}, ["does not call aiexp run"]),
        (GOOD | {"command": ["aiexp", "run", "${args}"]}, ["lacks ${args_no_hyphens}"]),
        (GOOD | {"command": ["aiexp", "run", "-m", "${args_no_hyphens}"]}, ["one job"]),
        (GOOD | {"command": ["aiexp", "run", "tsk=toy", "${args_no_hyphens}"]}, ["unknown key 'tsk'"]),
        (changed(**{"trainer.stpes": {"values": [1, 2, 3]}}), ["Did you mean 'trainer.steps'?"]),
        (changed(**{"trainer.steps": {"values": [1, "two"]}}), ["trainer.steps", "two"]),
        (changed(**{"trainer.steps": {"distribution": "uniform", "min": 1, "max": 9}}), ["steps", "3.96"]),
        (changed(**{"model": {"values": ["smal"]}}), ["Did you mean 'small'?"]),
        (changed(**{"task.dropout": {"min": "1e-4", "max": 1.0}}), ["YAML reads 1e-4 as text"]),
        (changed(**{"task.dropout": {"distribution": "log_uniform", "min": -3, "max": 0.0}}), ["exponents"]),
        (changed(**{"trainer.clip": {"values": [None, 1.0]}}), ["write \"null\""]),
        (changed(**{"task.names": {"values": ["a,b"]}}), ["not one value", "quote it twice"]),
        (changed(trainer={"parameters": {"steps": {"values": [1]}}}), ["write trainer.steps:"]),
        (changed(**{"trainer.steps": {"values": []}}), ["no values"]),
    ],
)  # fmt: skip
def test_what_agents_could_not_run_is_refused_before_it_is_registered(
    lab: Lab, home: Path, document: Any, parts: list[str]
) -> None:
    os.chdir(lab.root)
    ended = sweep(lab.root, document)
    assert ended.code == 2, ended.stderr
    assert all(line.startswith("aiexp: error[config]: ") for line in ended.stderr.splitlines())
    for part in parts:
        assert part in ended.stderr


def test_whole_numbers_and_quoted_texts_pass(lab: Lab) -> None:
    document = changed(
        **{
            "trainer.steps": {"min": 1, "max": 9},
            "task.dropout": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.5},
            "trainer.clip": {"values": ["null", 1.0]},
            "task.names": {"values": ["[a, b]", ["c", "d"]]},
        }
    )
    (lab.root / "sweep.yaml").write_text(yaml.safe_dump(document))
    checked = read_sweep_file(Path("sweep.yaml"))
    assert checked.first.choices["task"] == "toy"
    assert checked.first.config.trainer.steps == 1


def test_under_an_agent_the_run_is_the_agents(folder: Path, server: FakeWandb) -> None:
    words = [w for w in TINY if not w.startswith("tracker")] + ["trainer.steps=2", "trainer.epochs=null",
             "tracker.has_system_metrics=false", "seed=3"]  # fmt: skip
    agent = {"WANDB_SWEEP_ID": "sweep0", "WANDB_RUN_ID": "chosen", "WANDB_PROJECT": "theirs"}

    def body() -> int:
        os.environ.update(agent)
        return cli.main(["run", *words])

    ended = in_fork(body, folder, seconds=60)
    assert ended.code == 0, ended.stderr
    [(run_id, run)] = server.runs.items()
    assert run_id == "chosen"
    assert (run.fields["sweep"], run.fields["project"], run.fields["groupName"]) == (
        "sweep0",
        "theirs",
        "sweep0",
    )
    assert run.fields["jobType"] == "bert_finetune"
    assert run.config["seed"] == 3


@pytest.mark.slow
def test_a_real_agent_runs_every_point(folder: Path, server: FakeWandb) -> None:
    words = [w for w in TINY if not w.startswith("tracker")] + ["trainer.steps=2", "trainer.epochs=null"]
    document = {
        "method": "grid",
        "command": ["${env}", sys.executable, "-m", "aiexp", "run", *words, "${args_no_hyphens}"],
        "parameters": {"seed": {"values": [5, 6]}, "task.optimizer.lr": {"values": [1.0e-3]}},
    }
    assert sweep(folder, document).code == 0
    agent = [sys.executable, "-m", "wandb", "agent", "me/aiexp/sweep0"]
    ended = subprocess.run(agent, cwd=folder, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    assert sorted(run.config["seed"] for run in server.runs.values()) == [5, 6], ended.stdout + ended.stderr
    assert {run.fields["sweep"] for run in server.runs.values()} == {"sweep0"}
    assert set(server.runs) == {"agentrun0", "agentrun1"}
    assert server.unknown == []
