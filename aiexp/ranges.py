"""Which values an argument may have, as its annotation says: `discount: Annotated[float, Range("[0, 1]")]`.

The annotations are checked from source before anything is imported (`config/target/value_type.py`),
so constructors do not check them again. `Literal` does the same for choices. Other names for the commonest
are pydantic's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

_FORM = re.compile(r"(?:(>=?) *([-\d.]+)|([\[(]) *([-\d.]+) *, *([-\d.]+) *([\])]))")


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Args:
        text: As in mathematics: "[0, 1)" is 0 <= x < 1; "> 0" and ">= 1" have no upper end.

    Raises:
        ValueError: the text has another form.
    """

    text: str

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.text):
            raise ValueError(f"not a range: {self.text!r}")

    def __str__(self) -> str:
        return self.text if self.text.startswith(">") else f"in {self.text}"

    def allows(self, value: float) -> bool:
        """Whether a number lies inside; NaN never does."""
        sign, least, opening, low, high, closing = re.fullmatch(_FORM, self.text).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if sign:
            return value > float(least) or (sign == ">=" and value == float(least))
        is_above = value > float(low) or (opening == "[" and value == float(low))
        return is_above and (value < float(high) or (closing == "]" and value == float(high)))


@dataclass(frozen=True)
class Length(Range):
    """How many entries a list may have, or characters a text: `Length(">= 1")`."""

    def __str__(self) -> str:
        return f"of length {self.text}"

    def allows(self, value: float | list[object] | str) -> bool:
        """Whether a list or a text has as many."""
        return isinstance(value, list | str) and super().allows(len(value))


@dataclass(frozen=True)
class Begins(Range):
    """What a text begins with: `Begins("eval/")`."""

    def __post_init__(self) -> None:
        """Any text will do."""

    def __str__(self) -> str:
        return f"that begins with {self.text}"

    def allows(self, value: float | list[object] | str) -> bool:
        """Whether a text does."""
        return isinstance(value, str) and value.startswith(self.text)


@dataclass(frozen=True)
class Lacks(Begins):
    """Characters that a text may not have: `Lacks("/:")`."""

    def __str__(self) -> str:
        return f"without any of {self.text}"

    def allows(self, value: float | list[object] | str) -> bool:
        """Whether a text has none of them."""
        return isinstance(value, str) and not set(self.text) & set(value)


@dataclass(frozen=True)
class Requires:
    """What others must be where this argument is true: `Annotated[bool, Requires({"eval_split": "str"})]`.

    Args:
        types: By argument of the same callable, or of the config's node of a class ("Trainer.steps"): its
            type then, as an annotation would say it.
    """

    types: Mapping[str, str]


PositiveInt = Annotated[int, Range(">= 1")]
NonNegativeInt = Annotated[int, Range(">= 0")]
PositiveFloat = Annotated[float, Range("> 0")]
NonNegativeFloat = Annotated[float, Range(">= 0")]
Probability = Annotated[float, Range("[0, 1]")]
# A share of which some must be left: of examples split off, of units dropped.
Share = Annotated[float, Range("[0, 1)")]
PositiveInts = Annotated[list[PositiveInt], Length(">= 1")]
