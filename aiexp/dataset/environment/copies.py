"""Several environments stepped side by side."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.environment.episodes import Episodes

# Letters: E environments; "..." one observation.


@final
class EnvironmentCopies:
    """What `gymnasium.vector.SyncVectorEnv` does in its autoreset mode NEXT_STEP, in half the time.

    The step after the end of an episode only resets that environment: its action is ignored and its reward
    is 0, so that the last observation of an episode appears like any other. There are no infos, and actions
    are not copied.

    Args:
        episodes: The environments.
        shape: Of one observation.
        dtype: Of observations.
    """

    def __init__(self, episodes: list[Episodes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.episodes, self.shape, self.dtype = episodes, shape, dtype

    def reset(self) -> NDArray[Any]:
        """(E, ...) the first observations of the next episodes, or where restored ones had got to."""
        first = [episodes.reset() for episodes in self.episodes]
        return np.asarray(first).astype(self.dtype)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """One step of every environment.

        Args:
            actions: (E,), as the environments number them.

        Returns:
            observations (E, ...), rewards, terminated and truncated, all (E,).
        """
        count = len(self.episodes)
        observations = np.empty((count, *self.shape), self.dtype)
        rewards = np.empty(count)
        terminated, truncated = np.empty(count, np.bool_), np.empty(count, np.bool_)
        for number, action in enumerate(actions.tolist()):  # plain numbers: environments check them faster
            result = self.episodes[number].step(action)
            observations[number], rewards[number], terminated[number], truncated[number] = result
        return observations, rewards, terminated, truncated
