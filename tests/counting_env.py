"""Environments of which everything is known beforehand, registered with gymnasium for the tests."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from aiexp.dataset.environment.dataset import Environments


class Counting(gymnasium.Env[Any, Any]):
    """Shows (episode's seed mod 1000, step); action 1 pays the step's number, action 0 nothing.

    Args:
        length: Steps after which it terminates; None: never.
        fails: What goes wrong at step 3 of the episodes whose seed is odd: "step", "nan", "reward"; "reset".
        is_random: Observations differ when an episode is played again.
    """

    def __init__(
        self,
        length: int | None = 5,
        fails: str = "",
        is_random: bool = False,
        render_mode: str | None = None,
        first: int = 0,
    ) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Discrete(2, start=first)
        self.length, self.fails, self.is_random, self.first = length, fails, is_random, first
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
        self.render_mode = render_mode

    def observe(self) -> np.ndarray[Any, Any]:
        noise = np.random.default_rng().random() if self.is_random else 0.0
        return np.array([self.seed % 1000 + noise, self.count], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        assert seed is not None, "every episode has a seed"
        if self.fails == "reset" and seed % 2:
            raise RuntimeError("no power")
        self.seed, self.count = seed, 0
        return self.observe(), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        is_bad = self.count == 3 and self.seed % 2 == 1
        if is_bad and self.fails == "step":
            raise RuntimeError("no power")
        reward = float(self.count) if action - self.first == 1 else 0.0
        observation = self.observe()
        if is_bad and self.fails == "nan":
            observation[1] = np.nan
        if is_bad and self.fails == "reward":
            reward = np.inf
        return observation, reward, self.count == self.length, False, {}

    def render(self) -> Any:
        frame = np.zeros((40, 60, 3), np.uint8)
        frame[:, : self.count * 5] = 255
        return frame


class Squares(gymnasium.Env[Any, Any]):
    """A picture with a bright half; the action that names the half pays 1. Eight steps."""

    def __init__(self, size: int = 36, channels: int = 0, render_mode: str | None = None) -> None:
        self.shape = (size, size, channels) if channels else (size, size)
        self.observation_space = Box(0, 255, self.shape, np.uint8)
        self.action_space = Discrete(2)
        self.render_mode = render_mode

    def observe(self) -> np.ndarray[Any, Any]:
        picture = np.zeros(self.shape, np.uint8)
        half = self.shape[1] // 2
        picture[:, :half] = 255 * (1 - self.side)
        picture[:, half:] = 255 * self.side
        return picture

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count, self.side = 0, int(self.np_random.integers(2))
        return self.observe(), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self.side)
        self.count, self.side = self.count + 1, int(self.np_random.integers(2))
        return self.observe(), reward, False, self.count == 8, {}

    def render(self) -> Any:
        return np.repeat(self.observe().reshape(*self.shape[:2], -1)[:, :, :1], 3, axis=2)


def register() -> None:
    """Makes them known, once."""
    for env_id, made in {"Counting-v0": Counting, "Squares-v0": Squares}.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=made)  # pyright: ignore[reportArgumentType]


def environments(env_id: str = "Counting-v0", /, **changes: Any) -> Environments:
    """A small data set of one of them, or of any other environment."""
    register()
    settings: dict[str, Any] = {
        "num_envs": 2, "batch_size": 16, "num_eval_episodes": 2, "num_test_episodes": 3, "frame_stack": 1,
        "max_episode_steps": None, "env_options": {}, "seed": 0,
    }  # fmt: skip
    return Environments(env_id=env_id, **(settings | changes))
