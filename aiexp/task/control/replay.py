"""How an agent remembers and draws from memory: settings, the buffer, and priorities if any."""

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from aiexp.ranges import NonNegativeInt, PositiveInt, Probability
from aiexp.task.control.prioritized_replay import PrioritizedReplay
from aiexp.task.control.replay_buffer import ReplayBuffer


@final
class Replay:
    """The memory of an agent.

    Args:
        size: Transitions kept; older ones are overwritten.
        num_steps: Steps of the return before the value of a state takes over.
        alpha: 0 draws all alike; else prioritised replay's alpha, up to 1.
        beta: Prioritised replay's beta in the beginning, in [0, 1].
        beta_steps: Batches until beta is 1.
    """

    def __init__(
        self,
        *,
        size: PositiveInt,
        num_steps: PositiveInt,
        alpha: Probability,
        beta: Probability,
        beta_steps: NonNegativeInt,
    ) -> None:
        self.size, self.num_steps = size, num_steps
        self.alpha = alpha
        self.beta, self.beta_steps = beta, beta_steps
        self.buffer: ReplayBuffer
        self.priorities: PrioritizedReplay | None = None

    def prepare(
        self,
        *,
        size: int,
        num_envs: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        frame_stack: int,
        discount: float,
    ) -> None:
        """Reserves the memory; see `ReplayBuffer`."""
        self.buffer = ReplayBuffer(
            size=size, num_envs=num_envs, shape=shape, dtype=dtype, frame_stack=frame_stack,
            num_steps=self.num_steps, discount=discount,
        )  # fmt: skip
        if self.alpha:
            self.priorities = PrioritizedReplay(
                size=self.buffer.slots * num_envs, alpha=self.alpha,
                beta=self.beta, beta_steps=self.beta_steps,
            )  # fmt: skip

    def extend(self, *steps: Any) -> None:
        """Adds steps; see `ReplayBuffer.extend`."""
        added, dropped = self.buffer.extend(*steps)
        if self.priorities is not None:
            self.priorities.change(added, dropped)

    def draw(self, count: int, random: np.random.Generator) -> dict[str, Tensor]:
        """A batch; see `ReplayBuffer.gather`; with priorities also `rows` and `weights`, both (B,)."""
        if self.priorities is None:
            return tensors(self.buffer.gather(self.buffer.draw(count, random)))
        rows, weights = self.priorities.draw(count, random)
        return tensors(self.buffer.gather(rows) | {"rows": rows, "weights": weights})

    def learn(self, rows: Tensor, errors: Tensor) -> None:
        """Takes the temporal-difference errors (B,) of the drawn rows (B,) into account."""
        if self.priorities is not None:
            self.priorities.update(rows.cpu().numpy(), errors.cpu().numpy().astype(np.float64))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        priorities = None if self.priorities is None else self.priorities.state()
        return {"buffer": self.buffer.state(), "priorities": priorities}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.buffer.load_state(state["buffer"])
        if self.priorities is not None:
            self.priorities.load_state(state["priorities"])


def tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    """The arrays as tensors that share their memory."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
