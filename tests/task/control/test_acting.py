import numpy as np
import pytest
import torch

from aiexp.task.control.exploration import Exploration
from aiexp.task.control.replay_buffer import NOTHING
from tests.counting_env import environments
from tests.task.control.test_dqn import make_task


def test_rollout_and_exploration() -> None:
    dataset = environments(env_options={"length": 1000})
    task = make_task(dataset)
    batches = task.batches(dataset, 0)
    steps = []
    for _ in range(9):
        next(batches)
        steps.append(task.actor.num_steps)
    assert steps == [24] * 3 + [32] * 3 + [40] * 3  # 20 random ones, rounded up to whole turns
    exploration = Exploration(start=1.0, end=0.1, steps=60, repetition=None)
    assert [exploration.epsilon(s) for s in (0, 30, 60, 100)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert task.actor.epsilon() == pytest.approx(exploration.epsilon(40))


def test_episodes_are_counted_and_steps_are_real_ones() -> None:
    dataset = environments(num_envs=1)
    task = make_task(dataset, train_freq=12, learning_starts=0)
    task.act()
    assert task.actor.num_steps == 10  # two episodes of five, each with a reset after it
    buffer = task.replay.buffer
    kinds, actions = buffer.kinds.array[:12, 0], buffer.actions.array[:12, 0]
    assert (kinds == NOTHING).nonzero()[0].tolist() == [5, 11]
    totals = [float((np.arange(1, 6) * actions[start : start + 5]).sum()) for start in (0, 6)]
    assert task.acting_metrics["env/return"] == pytest.approx(sum(totals) / 2)
    assert task.acting_metrics["env/episode_length"] == 5


def test_random_actions_follow_the_rate() -> None:
    dataset = environments(num_envs=2, env_options={"length": 10**6})
    task = make_task(
        dataset, size=8000, train_freq=4000, learning_starts=0,
        exploration=Exploration(start=0.3, end=0.3, steps=1, repetition=None),
    )  # fmt: skip
    with torch.no_grad():
        for p in task.model.parameters():
            p.zero_()
        list(task.model.parameters())[-1].copy_(torch.tensor([0.0, 1.0]))  # always action 1
    task.act()
    chosen = task.replay.buffer.actions.array[:2000]
    assert 1 - chosen.mean() == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("length", [10**6, 4])
def test_random_actions_are_repeated_within_their_episode(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exploration, "durations", lambda self, shape, random: np.full(shape, 3))
    exploration = Exploration(start=1.0, end=1.0, steps=1, repetition=2.0)
    dataset = environments(num_envs=2, env_options={"length": length})
    task = make_task(dataset, size=800, train_freq=600, learning_starts=0, exploration=exploration)
    task.act()
    runs = task.replay.buffer.actions.array[:300].T  # (E, steps)
    if length == 4:  # 3 steps of one action, 1 of another, and 1 that resets
        episodes = runs.reshape(2, -1, 5)
        assert (episodes[..., 0] == episodes[..., 1]).all()
        assert (episodes[..., 1] == episodes[..., 2]).all()
        assert (episodes[..., 2] != episodes[..., 3]).any()
        assert (episodes[..., 3] != np.roll(episodes[..., 0], -1, 1)).any()
    else:
        runs = runs.reshape(2, -1, 3)
        assert (runs == runs[..., :1]).all()
        assert 60 < runs[..., 0].sum() < 140


def test_durations_are_those_of_a_zeta_distribution() -> None:
    random = np.random.default_rng(0)
    never = Exploration(start=1.0, end=1.0, steps=1, repetition=None)
    assert (never.durations((5, 2), random) == 1).all()
    drawn = Exploration(start=1.0, end=1.0, steps=1, repetition=2.0).durations((20_000,), random)
    shares = [np.mean(drawn == n) for n in (1, 2, 3)]
    assert shares == pytest.approx([6 / np.pi**2 / n**2 for n in (1, 2, 3)], abs=0.01)
    assert drawn.max() <= 10_000
