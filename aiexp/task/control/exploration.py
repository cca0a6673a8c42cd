"""How often an agent tries something at random."""

from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from aiexp.ranges import NonNegativeInt, Probability, Range

LONGEST = 10_000  # steps of a repeated action


@final
class Exploration:
    """The probability of a random action, which falls linearly and then stays.

    Args:
        start: In the first step of the environments, in [0, 1].
        end: From `steps` on, in [0, 1].
        steps: Of the environments, counted over all copies.
        repetition: Exponent, above 1, of the zeta distribution of how often a random action is repeated, at
            most to the end of its episode; None: never. Repetition gets away from where trembling stays.

    Source of `repetition`: Dabney et al. 2021 (arXiv 2006.01782), who use 2.
    """

    def __init__(
        self,
        *,
        start: Probability,
        end: Probability,
        steps: NonNegativeInt,
        repetition: Annotated[float, Range("> 1")] | None,
    ) -> None:
        self.start, self.end, self.steps, self.repetition = start, end, steps, repetition

    def epsilon(self, step: int) -> float:
        """The probability in a step of the environments, counted from 0."""
        share = min(step / self.steps, 1.0) if self.steps else 1.0
        return self.start + share * (self.end - self.start)

    def durations(self, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.int64]:
        """For how many steps each random action would be taken; at least 1."""
        if self.repetition is None:
            return np.ones(shape, np.int64)
        return np.minimum(random.zipf(self.repetition, shape), LONGEST)
