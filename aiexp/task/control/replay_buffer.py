"""What an agent has seen: the latest steps of several environments, each observation kept once."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.checkpoint.blocks import Blocks
from aiexp.dataset.image.reader import available_bytes
from aiexp.errors import CheckpointError, ConfigError, MemoryFullError

# Letters: T slots, E environments, B batch, S stacked frames, K steps added at once; "..." one observation.

NOTHING, RUNNING, TERMINATED, TRUNCATED = range(4)  # what kind of transition begins in a row
BLOCK_BYTES = 1 << 20
USABLE = 0.8  # share of the free memory

Rows = NDArray[np.int64]


@final
class ReplayBuffer:
    """A ring of slots; a slot holds one row for each environment: an observation and what followed on it.

    The observation that a transition leads to is the next row of its environment. An episode's last
    observation has a row of its own, in which no transition begins: so none leads from one episode into the
    next. Multi-step returns and stacks of frames are put together when they are drawn, and end and begin
    where their episode does.

    Source: Mnih et al. 2015 (doi 10.1038/nature14236); multi-step returns: Sutton 1988, as in Hessel et al.
    2017 (arXiv 1710.02298).

    Args:
        size: Transitions, over all environments.
        num_envs: Environments.
        shape: Of one observation, without stacking.
        dtype: Of observations.
        frame_stack: Observations that a state consists of.
        num_steps: Steps of the return before the value of a state takes over.
        discount: Factor on the reward of the next step.

    Raises:
        ConfigError: too small to hold what one draw needs.
        MemoryFullError: larger than the memory that is free.
    """

    def __init__(
        self,
        *,
        size: int,
        num_envs: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        frame_stack: int,
        num_steps: int,
        discount: float,
    ) -> None:
        slots = size // num_envs + 1  # one for the latest observations
        if slots < frame_stack + num_steps + 1:
            raise ConfigError(
                f"a buffer of {size} transitions is too small for {num_envs} environments",
                where="Replay.size", fix=f"at least {(frame_stack + num_steps) * num_envs}",
            )  # fmt: skip
        row_bytes = int(np.prod(shape)) * dtype.itemsize + 9
        check_memory(slots * num_envs, row_bytes)
        block_rows = max(1, BLOCK_BYTES // (row_bytes * num_envs))

        def blocks(kind: Any, *more: int) -> Blocks:
            return Blocks(np.zeros((slots, num_envs, *more), kind), block_rows)

        self.observations = blocks(dtype, *shape)
        self.actions, self.rewards = blocks(np.int32), blocks(np.float32)
        self.kinds = blocks(np.uint8)
        self.slots, self.num_envs = slots, num_envs
        self.frame_stack, self.num_steps, self.discount = frame_stack, num_steps, discount
        self.total = 0  # slots ever filled with steps; the latest observations lie behind them

    def begin(self, observations: NDArray[Any]) -> None:
        """Takes the first observations (E, ...)."""
        self.observations.write(0, observations[None])
        self.kinds.write(0, np.zeros((1, self.num_envs), np.uint8))

    def extend(
        self,
        actions: NDArray[np.int32],
        rewards: NDArray[np.float32],
        kinds: NDArray[np.uint8],
        observations: NDArray[Any],
    ) -> tuple[Rows, Rows]:
        """Adds K steps of every environment.

        Args:
            actions: (K, E).
            rewards: (K, E).
            kinds: (K, E) of NOTHING, RUNNING, TERMINATED, TRUNCATED.
            observations: (K, E, ...), which followed.

        Returns:
            Rows that can be drawn from now on, and rows that no longer can.
        """
        before = self.drawable()
        head, count = self.total % self.slots, len(actions)
        self.observations.write((head + 1) % self.slots, observations)
        self.actions.write(head, actions)
        self.rewards.write(head, rewards)
        self.kinds.write(head, np.concatenate([kinds, np.zeros_like(kinds[:1])]))
        self.total += count
        after = self.drawable()
        added = self._rows(range(max(before.stop, after.start), after.stop))
        dropped = self._rows(range(before.start, min(after.start, before.stop)))
        return added[self.kinds.array.reshape(-1)[added] != NOTHING], dropped

    def drawable(self) -> range:
        """Slots, counted since the beginning, whose transitions have all that a draw needs."""
        oldest = max(self.total - (self.slots - 1), 0)
        start = oldest + self.frame_stack - 1 if oldest else 0
        return range(start, max(self.total - (self.num_steps - 1), start))

    def _rows(self, slots: range) -> Rows:
        """All rows of slots that are counted since the beginning."""
        first = np.arange(slots.start, slots.stop, dtype=np.int64)[:, None] % self.slots * self.num_envs
        return (first + np.arange(self.num_envs)).reshape(-1)

    def draw(self, count: int, random: np.random.Generator) -> Rows:
        """(B,) rows, each transition with the same probability; at least one must be there."""
        slots, total = self.drawable(), self.slots * self.num_envs
        low, high = slots.start * self.num_envs, slots.stop * self.num_envs
        kinds = self.kinds.array.reshape(-1)
        rows = random.integers(low, high, size=count) % total
        while True:
            empty = np.flatnonzero(kinds[rows] == NOTHING)
            if not len(empty):
                return rows
            rows[empty] = random.integers(low, high, size=len(empty)) % total

    def gather(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """The transitions of rows.

        Returns:
            observations: (B, S, ...), the state.
            actions: (B,) int64.
            rewards: (B,) float32, discounted over up to `num_steps` steps.
            next_observations: (B, S, ...), the state after these steps.
            discounts: (B,) float32 on the value of that state; 0 where the episode terminated.
        """
        kinds, rewards = self.kinds.array.reshape(-1), self.rewards.array.reshape(-1)
        total = self.slots * self.num_envs
        last, kind, returns = rows, kinds[rows], rewards[rows]
        discounts = np.full(len(rows), self.discount, np.float32)
        for _ in range(self.num_steps - 1):
            goes_on = kind == RUNNING
            last = np.where(goes_on, (last + self.num_envs) % total, last)
            returns = returns + np.where(goes_on, discounts * rewards[last], np.float32(0))
            discounts = np.where(goes_on, discounts * np.float32(self.discount), discounts)
            kind = kinds[last]
        discounts *= kind != TERMINATED
        return {
            "observations": self._states(rows),
            "actions": self.actions.array.reshape(-1)[rows].astype(np.int64),
            "rewards": returns,
            "next_observations": self._states((last + self.num_envs) % total),
            "discounts": discounts,
        }

    def _states(self, rows: Rows) -> NDArray[Any]:
        """(B, S, ...): the observations of rows and those before; an episode's first one is repeated."""
        observations = self.observations.array.reshape(-1, *self.observations.array.shape[2:])
        if self.frame_stack == 1:
            return observations.take(rows, axis=0)[:, None]
        kinds, total = self.kinds.array.reshape(-1), self.slots * self.num_envs
        frames = [rows]
        for _ in range(self.frame_stack - 1):
            earlier = (frames[0] - self.num_envs) % total
            frames.insert(0, np.where(kinds[earlier] == NOTHING, frames[0], earlier))
        return observations.take(np.stack(frames, axis=1), axis=0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        parts = {name: getattr(self, name) for name in ("observations", "actions", "rewards", "kinds")}
        return parts | {"total": self.total}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned.

        Raises:
            CheckpointError: it was saved by a buffer of another size or for other observations.
        """
        for name in ("observations", "actions", "rewards", "kinds"):
            saved, array = state[name], getattr(self, name).array
            if saved.array.shape != array.shape or saved.array.dtype != array.dtype:
                raise CheckpointError(
                    f"the replay buffer holds {saved.array.shape} {saved.array.dtype}, "
                    f"the config asks for {array.shape} {array.dtype}",
                    where="Replay.size", fix="resume with the size and environments the run began with",
                )  # fmt: skip
            setattr(self, name, saved)
        self.total = state["total"]


def check_memory(num_rows: int, row_bytes: int) -> None:
    """Raises `MemoryFullError` if so many rows need more than `USABLE` of the memory that is free."""
    free = available_bytes()
    if free is None or num_rows * row_bytes <= USABLE * free:
        return
    raise MemoryFullError(
        f"a buffer of {num_rows:,} transitions needs {num_rows * row_bytes / 1e9:.1f} GB, "
        f"and {free / 1e9:.1f} GB of memory are free",
        where="Replay.size", fix=f"Replay.size={int(USABLE * free) // row_bytes} or less",
    )  # fmt: skip
