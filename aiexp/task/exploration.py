"""How often an agent tries something at random."""

from typing import final

from aiexp.errors import ConfigError


@final
class Exploration:
    """The probability of a random action, which falls linearly and then stays.

    Args:
        start: In the first step of the environments, in [0, 1].
        end: From `steps` on, in [0, 1].
        steps: Of the environments, counted over all copies.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(self, *, start: float, end: float, steps: int) -> None:
        for key, value in {"start": start, "end": end}.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"{key} is {value}; it is a probability", where=f"task.exploration.{key}")
        if steps < 0:
            raise ConfigError(f"steps is {steps}; it must not be negative", where="task.exploration.steps")
        self.start, self.end, self.steps = start, end, steps

    def rate(self, step: int) -> float:
        """The probability in a step of the environments, counted from 0."""
        share = min(step / self.steps, 1.0) if self.steps else 1.0
        return self.start + share * (self.end - self.start)
