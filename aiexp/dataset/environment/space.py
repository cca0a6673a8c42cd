"""What an environment shows and what it takes, as shapes and numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from aiexp.errors import ConfigError, DataError

if TYPE_CHECKING:
    import gymnasium


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Spaces:
    """Sizes of what goes in and out of an environment.

    Args:
        shape: Of one observation: (F,) numbers, or (H, W) or (H, W, C) pixels.
        dtype: How observations are kept: uint8, or float32 for everything else.
        num_actions: Of a discrete action space; None for any other.
        first_action: The number of the first action, mostly 0.
        actions: The action space as gymnasium writes it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    num_actions: int | None
    first_action: int
    actions: str

    @property
    def is_image(self) -> bool:
        """Whether observations are pixels."""
        return self.dtype == np.uint8 and len(self.shape) in (2, 3)


def read_spaces(env: "gymnasium.Env[Any, Any]") -> Spaces:
    """The spaces of an environment whose observations are arrays (see `as_arrays`)."""
    from gymnasium.spaces import Discrete

    observations, actions = env.observation_space, env.action_space
    is_discrete = isinstance(actions, Discrete)
    return Spaces(
        shape=tuple(observations.shape or ()),
        dtype=np.dtype(np.uint8 if observations.dtype == np.uint8 else np.float32),
        num_actions=int(actions.n) if is_discrete else None,
        first_action=int(actions.start) if is_discrete else 0,
        actions=str(actions),
    )


def as_arrays(env: "gymnasium.Env[Any, Any]", env_id: str) -> "gymnasium.Env[Any, Any]":
    """The environment with observations as one array: numbers of states become one-hot, parts are joined.

    Raises:
        ConfigError: its observations have no fixed size, such as texts and graphs.
    """
    from gymnasium.spaces import Box
    from gymnasium.spaces.utils import flatten, flatten_space
    from gymnasium.wrappers import TransformObservation

    space = env.observation_space
    if isinstance(space, Box) and space.shape:
        return env
    if not space.is_np_flattenable:
        raise ConfigError(
            f"observations of {env_id} have no fixed size: {space}", where="Environments.env_id",
            fix="an environment whose observations are numbers or pixels",
        )  # fmt: skip

    def as_array(observation: Any) -> Any:
        try:
            return flatten(space, observation)
        except Exception as error:
            raise DataError(
                f"{env_id} returned {str(observation)[:80]}, which is not in its observation space {space}",
                where="Environments.env_id", fix="the space must hold whatever reset and step return",
            ) from error  # fmt: skip

    return TransformObservation(env, as_array, flatten_space(space))


def has_time_limit(env: "gymnasium.Env[Any, Any]") -> bool:
    """Whether its episodes are truncated some time, whatever the environment and the agent do."""
    from gymnasium import Wrapper
    from gymnasium.wrappers import TimeLimit

    while isinstance(env, Wrapper):
        if isinstance(env, TimeLimit):
            return True
        env = env.env
    return False
