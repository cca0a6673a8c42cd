"""Agents on ranks: each acts in environments of its own; together they learn one network."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiexp.checkpoint.digest import digests
from aiexp.errors import ConfigError
from aiexp.task.control import dqn
from aiexp.trainer.evaluation import evaluate
from aiexp.trainer.schedule import Schedule
from aiexp.trainer.stepper import Stepper
from aiexp.world.world import World
from tests.counting_env import environments
from tests.endings import digest
from tests.ranks import together
from tests.task.control.test_dqn import make_task
from tests.toys import make_hardware
from tests.world.shared_run import WORDS, aiexp, latest, lines, make_folder

pytestmark = pytest.mark.ranks
DQN_WORDS = [
    "task=dqn_cartpole", *WORDS[1:], "trainer.epochs=null", "trainer.steps=12", "trainer.log_every=4",
    "trainer.evaluate_every=6", "trainer.checkpoint.every=3", "dataset.num_envs=6", "dataset.batch_size=12",
    "dataset.num_eval_episodes=3", "dataset.num_test_episodes=2", "dataset.max_episode_steps=30",
    "task.rollout.train_freq=24", "task.rollout.gradient_steps=2", "task.rollout.learning_starts=60",
    "task.replay.size=120", "task.replay.alpha=0.6", "task.replay.num_steps=2", "task.target_interval=48",
]  # fmt: skip


def learn(world: World) -> dict[str, Any]:
    """What a rank has after some steps, and how it began."""
    dataset = environments("CartPole-v1", num_envs=6, batch_size=12, num_test_episodes=60)
    task, hardware = make_task(dataset, size=120, train_freq=12, target_interval=24), make_hardware()
    hardware.world = world
    hardware.prepare(task)
    task.join(world)
    stepper = Stepper(
        task,
        hardware,
        schedule=Schedule(shape="constant", warmup=0, hold=0, final=0.0),
        total_steps=9,
        clip=None,
    )
    batches = task.batches(dataset, 0)
    rows: list[int] = []
    for step in range(9):
        batch = next(batches)
        rows.append(len(batch["actions"]))
        stepper.step(step + 1, [batch])
    first = [episodes.seed_of(0) for episodes in task.actor.episodes]
    return {
        "first": first, "rows": rows, "steps": task.actor.num_steps, "slots": task.replay.buffer.slots,
        "weights": digests([*task.model.parameters(), *task.target.parameters()]),
        "memory": digests(task.replay.state()["buffer"]["observations"]),
        "window": stepper.window["env/steps"], "metrics": evaluate(task, dataset, "test", hardware).metrics,
    }  # fmt: skip


def test_ranks_share_out_environments_memory_and_batches(tmp_path: Path) -> None:
    alone = learn(World())
    for size in (2, 3):
        ranks = together(size, learn, tmp_path)
        assert [rank["first"] for rank in ranks] == [alone["first"][r::size] for r in range(size)]
        assert all({*rank["rows"]} == {12 // size} for rank in ranks)
        for name in ("steps", "slots", "weights", "window", "metrics"):
            assert all(rank[name] == ranks[0][name] for rank in ranks), name
        assert ranks[0]["slots"] == alone["slots"]
        assert ranks[0]["steps"] == pytest.approx(alone["steps"], abs=6)  # steps that only reset do not count
        assert len({json.dumps(rank["memory"]) for rank in ranks}) == size


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_envs": 3}, "dataset.num_envs=3 cannot be shared out evenly among 2 ranks"),
        ({"batch_size": 17}, "dataset.batch_size=17 cannot be shared out evenly among 2 ranks"),
        ({"size": 61}, "task.replay.size=61 cannot be shared out evenly among 2 ranks"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(changes: dict[str, Any], said: str) -> None:
    data = {"num_envs": 4, "batch_size": 16} | {k: v for k, v in changes.items() if k != "size"}
    size = {k: v for k, v in changes.items() if k == "size"}
    task = make_task(environments("CartPole-v1", **data), train_freq=12, **size)
    with pytest.raises(ConfigError, match=said) as caught:
        task.join(World(1, 2))
    assert caught.value.fix.startswith(said.split("=")[0])


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds, and forks inherit this."""
    monkeypatch.setattr(dqn, "report_episodes", lambda *_: ({}, {}))


@pytest.mark.slow
def test_an_agent_stopped_or_killed_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Memory, priorities, episodes in progress and random numbers of each rank; other numbers are refused."""
    whole = make_folder(tmp_path / "whole")
    ended = aiexp(whole, "run", *DQN_WORDS)
    assert ended.code == 0, ended.stderr
    newest = max((latest(whole).path / "checkpoints").glob("step-*"))
    assert [p.name for p in (newest / "ranks/00001").iterdir()]
    for fault, code in (("at:TERM:1:4", 143), ("at:KILL:1:7", 137)):
        folder = make_folder(tmp_path / fault.replace(":", "-"))
        assert aiexp(folder, "run", *DQN_WORDS, fault=fault).code == code
        directory = latest(folder)
        for size in (1, 3) if "TERM" in fault else ():
            refused = aiexp(folder, "resume", str(directory.path), f"hardware.devices={size}")
            assert refused.code == 4, refused.stderr
            assert "which DQN cannot divide" in refused.stderr
            assert "fix: hardware.devices=2, as it was saved" in refused.stderr
        resumed = aiexp(folder, "resume", str(directory.path), "hardware.devices=2")
        assert resumed.code == 0, resumed.stderr
        assert lines(directory) == lines(latest(whole)), fault
        assert digest(directory) == digest(latest(whole)), fault


@pytest.mark.slow
def test_an_agent_that_learned_alone_cannot_be_divided(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    words = [word for word in DQN_WORDS if "devices" not in word]
    assert aiexp(folder, "run", *words).code == 0
    refused = aiexp(folder, "resume", "outputs/latest", "hardware.devices=2", "trainer.steps=14")
    assert refused.code == 4
    assert "DQN cannot divide the state of one process among 2 ranks" in refused.stderr
    assert "fix: hardware.devices=1, as it was saved" in refused.stderr
