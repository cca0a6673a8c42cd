"""How acting and learning take turns."""

from typing import final

from aiexp.errors import ConfigError
from aiexp.ranges import NonNegativeInt, PositiveInt


@final
class Rollout:
    """How acting and learning take turns, in the words of RL-Zoo.

    Args:
        train_freq: Steps between two turns of learning, counted over all environments.
        gradient_steps: Batches of a turn.
        learning_starts: Steps with random actions before the first turn, counted over all environments.
    """

    def __init__(
        self, *, train_freq: PositiveInt, gradient_steps: PositiveInt, learning_starts: NonNegativeInt
    ) -> None:
        self.train_freq, self.gradient_steps = train_freq, gradient_steps
        self.learning_starts = learning_starts

    def steps_each(self, num_envs: int) -> int:
        """Steps of each environment between two turns.

        Raises:
            ConfigError: `train_freq` cannot be shared out evenly.
        """
        if self.train_freq % num_envs:
            raise ConfigError(
                f"train_freq={self.train_freq} is no multiple of dataset.num_envs={num_envs}",
                where="Rollout.train_freq",
                fix=f"Rollout.train_freq={-(-self.train_freq // num_envs) * num_envs}",
            )
        return self.train_freq // num_envs
