"""Acting in several environments at once, so that there is something to learn from."""

import math
import time
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.base import EnvironmentData
from aiexp.task.base import Last, Metric
from aiexp.task.control.exploration import Exploration
from aiexp.task.control.replay import Replay
from aiexp.task.control.replay_buffer import NOTHING, RUNNING, TERMINATED, TRUNCATED
from aiexp.world.world import World

# Letters: E environments, S stacked frames, K steps at once; "..." one observation.

# (E, S, ...) observations to (E,) the best actions, counted from 0.
Policy = Callable[[NDArray[Any]], NDArray[np.int64]]
Ended = tuple[float, int]  # return and length of an episode


@final
class Actor:
    """Acts in the training environments and fills a replay buffer.

    Args:
        dataset: Of environments with discrete actions.
        replay: Prepared for them.
        exploration: Probability of random actions.
        learning_starts: Until so many steps all actions are random.
        random: Draws when to explore, and how.
        world: Whose ranks share the environments: this one has every so many-th.
    """

    def __init__(
        self,
        *,
        dataset: EnvironmentData,
        replay: Replay,
        exploration: Exploration,
        learning_starts: int,
        random: np.random.Generator,
        world: World,
    ) -> None:
        self.world = world
        self.dataset, self.replay, self.exploration = dataset, replay, exploration
        self.learning_starts, self.random = learning_starts, random
        self.spaces = dataset.spaces
        self.num_actions = dataset.spaces.num_actions or 0
        self.envs = dataset.training_envs(range(world.rank, dataset.num_envs, world.size))
        self.episodes = self.envs.episodes
        self.num_envs = len(self.episodes)
        self.num_steps = 0  # counted over all environments, those of other ranks after each turn
        self.is_over = np.zeros(self.num_envs, np.bool_)  # which only reset in the next step
        # (E,) random actions under way and for how many more steps
        self.repeated = np.zeros((2, self.num_envs), np.int64)
        self.seen: NDArray[Any] | None = None  # (E, S, ...), what the next actions are chosen by

    def act(self, policy: Policy, count: int) -> dict[str, Metric]:
        """Takes `count` steps in each environment; returns what there is to say about them.

        Raises:
            DataError: an environment raised or returned something that is not finite. Nothing of these
                steps is kept.
        """
        if self.seen is None:
            self.begin()
        started, num_before = time.perf_counter(), self.num_steps
        shape = (count, self.num_envs)
        draws, random_actions = self.random.random(shape), self.random.integers(self.num_actions, size=shape)
        durations = self.exploration.durations(shape, self.random)
        actions, rewards = np.empty(shape, np.int32), np.empty(shape, np.float32)
        kinds, was_over = np.full(shape, RUNNING, np.uint8), np.empty(shape, np.bool_)
        observations = np.empty((*shape, *self.spaces.shape), self.spaces.dtype)
        ended: list[Ended] = []
        for step in range(count):
            actions[step] = chosen = self.choose(policy, draws[step], random_actions[step], durations[step])
            seen, reward, terminated, truncated = self.envs.step(chosen + self.spaces.first_action)
            self.check(seen, reward)
            observations[step], rewards[step], was_over[step] = seen, reward, self.is_over
            self.show(seen)
            self.num_steps += self.num_envs - int(np.count_nonzero(self.is_over))
            self.is_over = terminated | truncated
            if np.count_nonzero(self.is_over):
                kinds[step, truncated], kinds[step, terminated] = TRUNCATED, TERMINATED
                ended += [(e.total, len(e.actions)) for e in self.episodes if e.is_over]
        kinds[was_over] = NOTHING
        self.replay.extend(actions, rewards, kinds, observations)
        self.num_steps = num_before + int(self.world.total(self.num_steps - num_before))
        seconds = max(time.perf_counter() - started, 1e-9)
        return self.report(ended) | {"time/env_steps_per_second": (self.num_steps - num_before) / seconds}

    def report(self, ended: list[Ended]) -> dict[str, Metric]:
        """Metrics after a turn of acting in which these episodes ended."""
        metrics: dict[str, Metric] = {"env/steps": Last(self.num_steps), "env/epsilon": self.epsilon()}
        if ended:
            returns, lengths = zip(*ended, strict=True)
            metrics["env/return"] = sum(returns) / len(returns)
            metrics["env/episode_length"] = sum(lengths) / len(lengths)
        return metrics

    def begin(self) -> None:
        """Starts the first episodes."""
        first = self.envs.reset()
        self.check(first, np.zeros(self.num_envs))
        self.seen = np.repeat(first[:, None], self.dataset.frame_stack, axis=1)
        self.replay.buffer.begin(first)

    def epsilon(self) -> float:
        """The probability of a random action."""
        return 1.0 if self.num_steps < self.learning_starts else self.exploration.epsilon(self.num_steps)

    def choose(
        self,
        policy: Policy,
        draws: NDArray[np.float64],
        random_actions: NDArray[np.int64],
        durations: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """(E,) actions, counted from 0.

        Args:
            policy: For those that do not explore.
            draws: (E,) in [0, 1); below the rate a random action begins.
            random_actions: (E,) which.
            durations: (E,) for how many steps.
        """
        explores = draws < self.epsilon()
        if self.exploration.repetition is not None:
            drawn, (random_actions, left) = random_actions, self.repeated
            left[self.is_over] = 0
            begins = explores & (left == 0)
            random_actions[begins], left[begins] = drawn[begins], durations[begins]
            explores = left > 0
            left[explores & ~self.is_over] -= 1  # a step that only resets takes no action
        if np.count_nonzero(explores) == self.num_envs:
            return random_actions
        assert self.seen is not None
        return np.where(explores, random_actions, policy(self.seen))

    def check(self, observations: NDArray[Any], rewards: NDArray[np.float64]) -> None:
        """Raises `DataError` unless all that the environments returned is finite."""
        # A sum that is finite has finite parts, and takes a third of the time.
        if math.isfinite(float(observations.sum())) and math.isfinite(float(rewards.sum())):
            return
        for name, values in (("observation", observations), ("reward", rewards)):
            for number, value in enumerate(values):
                if not np.isfinite(value).all():
                    numbers = " ".join(str(value).split())[:80]
                    raise self.episodes[number].problem(f"returned {name}s that are not finite: {numbers}")

    def show(self, observations: NDArray[Any]) -> None:
        """Puts (E, ...) new observations on top of the stacks; a new episode's stack holds nothing else."""
        assert self.seen is not None
        if self.dataset.frame_stack > 1:
            self.seen[:, :-1] = self.seen[:, 1:].copy()
            self.seen[self.is_over] = observations[self.is_over][:, None]
        self.seen[:, -1] = observations

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: the episodes in progress as their seeds and actions."""
        return {
            "episodes": [episodes.state() for episodes in self.episodes],
            "num_steps": self.num_steps, "is_over": self.is_over, "seen": self.seen,
            "repeated": self.repeated,
        }  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned by playing the episodes in progress again.

        Raises:
            CheckpointError: an environment does something else this time.
        """
        if state["seen"] is None:
            return
        for episodes, saved in zip(self.episodes, state["episodes"], strict=True):
            episodes.load_state(saved)
        observations = self.envs.reset()
        self.num_steps, self.is_over, self.seen = state["num_steps"], state["is_over"], state["seen"]
        self.repeated = state["repeated"]
        for episodes, new, old, ended in zip(
            self.episodes, observations, state["seen"][:, -1], state["is_over"], strict=True
        ):
            if not np.array_equal(new, old) or episodes.is_over != ended:
                raise episodes.not_the_same()
