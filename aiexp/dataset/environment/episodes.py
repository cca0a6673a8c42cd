"""One environment whose every episode begins from a seed of its own, so that it can be played again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from aiexp.errors import AiexpError, CheckpointError, DataError

if TYPE_CHECKING:
    import gymnasium


@final
class Episodes:
    """One episode after the other.

    Resetting begins the next episode, and so does the step after an episode's end. The number of the episode
    and the actions since are all that is needed to come back to the same place: an environment has no other
    state that could be saved.

    Args:
        env: With array observations.
        env_id: For messages.
        seed_of: The seed of an episode, by its number.
    """

    def __init__(self, env: "gymnasium.Env[Any, Any]", env_id: str, seed_of: Callable[[int], int]) -> None:
        self.env, self.env_id, self.seed_of = env, env_id, seed_of
        self.episode, self.seed = -1, 0
        self.actions: list[int] = []
        self.total = 0.0  # of this episode's rewards
        self.is_over = True
        self._restored: Any = None

    def reset(self) -> Any:
        """The first observation of the next episode, or where a restored one had got to."""
        if self._restored is not None:
            observation, self._restored = self._restored, None
            return observation
        self.episode += 1
        return self._begin()

    def _begin(self) -> Any:
        self.seed, self.actions, self.total = self.seed_of(self.episode), [], 0.0
        try:
            observation, _ = self.env.reset(seed=self.seed)
        except AiexpError:
            raise
        except Exception as error:
            raise self.problem(f"raised in reset: {type(error).__name__}: {error}") from error
        self.is_over = False
        return observation

    def step(self, action: int) -> tuple[Any, Any, bool, bool]:
        """Observation, reward, terminated, truncated; after its end an episode is followed by the next."""
        if self.is_over:
            return self.reset(), 0.0, False, False
        self.actions.append(action)
        try:
            observation, reward, terminated, truncated, _ = self.env.step(action)
        except AiexpError:
            raise
        except Exception as error:
            raise self.problem(f"raised in step: {type(error).__name__}: {error}") from error
        self.total += float(reward)
        self.is_over = bool(terminated or truncated)
        return observation, reward, terminated, truncated

    def problem(self, what: str) -> DataError:
        """An error that names the environment, the episode, its seed and the step."""
        return DataError(
            f"{self.env_id} {what}",
            where=f"episode {self.episode}, step {len(self.actions)}, seed {self.seed}",
            fix="the episode can be played again: env.reset(seed=...) and the same actions",
        )

    def state(self) -> dict[str, Any]:
        """The episode and its actions so far."""
        import numpy as np

        return {"episode": self.episode, "actions": np.asarray(self.actions, np.int64)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Plays the episode again; the next `reset` returns where it had got to.

        Raises:
            CheckpointError: it ends sooner than it did.
        """
        self.episode = state["episode"]
        observation = self._begin()
        for action in state["actions"]:
            if self.is_over:
                raise self.not_the_same()
            observation = self.step(action)[0]
        self._restored = observation

    def not_the_same(self) -> CheckpointError:
        """The error for an environment that does something else when it is played again."""
        return CheckpointError(
            f"{self.env_id} is not deterministic: episode {self.episode} with seed {self.seed} and the same "
            f"{len(self.actions)} actions leads elsewhere",
            where="Environments.env_id",
            fix="start a new run, or make reset(seed=...) seed all of its randomness",
        )  # fmt: skip

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()
