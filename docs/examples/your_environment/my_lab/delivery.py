"""An environment of our own: walk to the parcel, then to the door, on a board of 5 x 5 fields."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

SIZE = 5
MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Delivery(gymnasium.Env[Any, Any]):
    """Sees where it stands, where to go next, and whether it carries the parcel; four moves.

    Picking the parcel up pays 1, delivering it 1 and ends the episode; each other move costs 0.02.
    """

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space = Box(-1.0, 1.0, (5,), np.float32)
        self.action_space = Discrete(len(MOVES))
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
        self.render_mode = render_mode

    def observe(self) -> np.ndarray[Any, Any]:
        goal = self.door if self.has_parcel else self.parcel
        here, there = self.place / (SIZE - 1), goal / (SIZE - 1)
        return np.array([*here, *(there - here), self.has_parcel], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        fields = self.np_random.permutation(SIZE * SIZE)[:3]
        self.place, self.parcel, self.door = (np.array(divmod(int(field), SIZE)) for field in fields)
        self.has_parcel = False
        return self.observe(), {}

    def step(self, action: Any) -> Any:
        self.place = np.clip(self.place + MOVES[int(action)], 0, SIZE - 1)
        reward, is_done = -0.02, False
        if not self.has_parcel and (self.place == self.parcel).all():
            self.has_parcel, reward = True, 1.0
        elif self.has_parcel and (self.place == self.door).all():
            reward, is_done = 1.0, True
        return self.observe(), reward, is_done, False, {}

    def render(self) -> Any:
        board = np.full((SIZE, SIZE, 3), 235, np.uint8)
        board[tuple(self.door)] = (60, 120, 220)
        if not self.has_parcel:
            board[tuple(self.parcel)] = (230, 150, 40)
        board[tuple(self.place)] = (40, 160, 80) if self.has_parcel else (90, 90, 90)
        return board.repeat(32, axis=0).repeat(32, axis=1)


gymnasium.register("Delivery-v0", entry_point=Delivery, max_episode_steps=40)
