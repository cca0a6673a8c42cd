"""The search space: overrides of Hydra's grammar with several values, as Optuna's distributions.

`lr=tag(log, interval(1e-4, 1e-1))`, `width=int(interval(8, 64))`, `depth=range(2, 9, 2)`, `model=mlp,cnn`.
"""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast, final

from aiexp.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override
    from optuna.distributions import BaseDistribution

SHARE = 1e-4  # of an interval's width (or of its logarithm): finer differences are rounded away


@final
@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One searched key or group.

    Args:
        name: What stands before the `=`, with a leading `+`.
        distribution: Optuna's.
        texts: For listed values: Optuna's value to the text of Hydra's grammar.
    """

    name: str
    distribution: "BaseDistribution"
    texts: dict[Any, str] = field(default_factory=lambda: {})

    def override(self, value: Any) -> str:
        """`lr=0.01234`: the value as a word of the command line, rounded to what matters."""
        if value in self.texts:
            return f"{self.name}={self.texts[value]}"
        if isinstance(value, float):
            low, high = cast(Any, self.distribution).low, cast(Any, self.distribution).high
            return f"{self.name}={rounded(value, low, high, is_log=cast(Any, self.distribution).log)}"
        return f"{self.name}={value}"

    def values(self) -> list[Any] | None:
        """Every value, or None for an interval."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        if self.texts:
            return list(self.texts)
        if isinstance(self.distribution, IntDistribution) and not self.distribution.log:
            return list(range(self.distribution.low, self.distribution.high + 1, self.distribution.step))
        return None

    @property
    def is_listed(self) -> bool:
        """Whether its values have no order that a model of numbers could use."""
        from optuna.distributions import CategoricalDistribution

        return isinstance(self.distribution, CategoricalDistribution)


def rounded(value: float, low: float, high: float, *, is_log: bool) -> str:
    """The shortest text of 4 digits or more that is within `SHARE` of the interval and inside its bounds."""
    allowed = SHARE * (value * math.log(high / low) if is_log else high - low)
    for digits in range(4, 17):
        text = f"{value:.{digits}g}"
        if abs(float(text) - value) <= allowed and low <= float(text) <= high:
            return text
    return repr(value)


@final
@dataclass(frozen=True, kw_only=True)
class Space:
    """A sweep's words sorted.

    Args:
        fixed: Words that all jobs share.
        seeds: `seed=0`, `seed=1`, ...: what every trial runs, no choice; empty for the seed of the config.
        dimensions: What is searched.
    """

    fixed: list[str]
    seeds: list[str]
    dimensions: "list[Dimension]"

    @property
    def num_points(self) -> int | None:
        """Number of combinations, or None if an interval has endlessly many."""
        sizes = [len(values) if (values := d.values()) is not None else None for d in self.dimensions]
        return None if None in sizes else math.prod(cast(list[int], sizes))


def read_space(parsed: "list[Override]") -> Space:
    """The words of a sweep, parsed by Hydra's grammar, as a search space.

    Raises:
        ConfigError: a value that cannot be searched, or nothing to search.
    """
    fixed: list[str] = []
    seeds: list[str] = []
    dimensions: list[Dimension] = []
    for override in parsed:
        if not override.is_sweep_override():
            fixed.append(override.input_line or "")
        elif override.key_or_group == "seed":
            if override.is_interval_sweep():
                raise _refused(override, "an interval of seeds has no end", "type seed=0,1,2")
            seeds = [f"{override.get_key_element()}={text}" for text in override.sweep_string_iterator()]
        else:
            dimensions.append(read_dimension(override))
    if not dimensions:
        raise ConfigError(
            "nothing to search: every key has one value", where="command line",
            fix="give a key an interval or several values: 'task.optimizer.lr=tag(log,interval(1e-4,1e-1))'",
        )  # fmt: skip
    return Space(fixed=fixed, seeds=seeds, dimensions=dimensions)


def read_dimension(override: "Override") -> Dimension:
    """One word with several values.

    Raises:
        ConfigError: an interval or list that is empty or, with `tag(log, ...)`, not positive.
    """
    from optuna.distributions import CategoricalDistribution

    name = override.get_key_element()
    if override.is_interval_sweep():
        return Dimension(name=name, distribution=_interval(override))
    texts = list(dict.fromkeys(override.sweep_string_iterator()))
    if not texts:
        raise _refused(override, "no values", "list at least two")
    numbers = [_number(text) for text in texts]
    if None not in numbers:
        by_value = dict(zip(cast(list[float], numbers), texts, strict=True))
        even = _evenly_spaced(sorted(by_value)) if override.is_range_sweep() else None
        return Dimension(
            name=name, distribution=even or CategoricalDistribution(list(by_value)), texts=by_value
        )
    return Dimension(name=name, distribution=CategoricalDistribution(texts), texts={t: t for t in texts})


def _interval(override: "Override") -> "BaseDistribution":
    """The distribution of `interval(a, b)`, both ends included."""
    from optuna.distributions import FloatDistribution, IntDistribution

    interval = cast("IntervalSweep", override.value())
    low, high, is_log = cast(Any, interval.start), cast(Any, interval.end), "log" in interval.tags
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise _refused(override, f"the interval from {low} to {high} is empty", "type the smaller end first")
    if is_log and low <= 0:
        raise _refused(override, f"a logarithmic interval cannot begin at {low}", "begin above 0")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(float(low), float(high), log=is_log)


def _evenly_spaced(values: list[float]) -> "BaseDistribution":
    """The distribution of `range(...)`, which has an order."""
    from optuna.distributions import FloatDistribution, IntDistribution

    step = float(Decimal(str(values[1])) - Decimal(str(values[0]))) if len(values) > 1 else 1.0
    if all(isinstance(v, int) for v in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=int(step))
    return FloatDistribution(values[0], values[-1], step=step)


def _number(text: str) -> float | None:
    """The number that a text of Hydra's grammar stands for, an int where it is one; None for other values."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else None
    return None


def _refused(override: "Override", what: str, fix: str) -> ConfigError:
    return ConfigError(what, where=f"command line: {override.input_line}", fix=fix)
