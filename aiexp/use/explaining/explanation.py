"""An explanation as values: what is drawn on a page and in a picture, and written as numbers."""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.prediction.prediction import Prediction
from aiexp.use.explaining.gradients import Attribution

MOST_STRONGEST = 10


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word of a text.

    Args:
        text: As it was written; a special token by its name.
        before: The space in front of it.
        value: What it adds, or how much is looked at it.
        is_special: Whether nobody has written it.
    """

    text: str
    before: str
    value: float
    is_special: bool = False


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A picture with a caption.

    Args:
        pixels: (H, W, 3) uint8.
        caption: What it shows.
    """

    pixels: NDArray[np.uint8]
    caption: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one method says.

    Args:
        method: Its key.
        title: Its name.
        text: How to read it, in a sentence or two.
        words: All of the text, where it is one.
        panels: Pictures.
        strongest: Names with values, the largest first.
        layers: Of each word of `words` the values in every layer.
        attribution: Of integrated gradients, for the check.
    """

    method: str
    title: str
    text: str
    words: list[Word] = field(default_factory=lambda: [])
    panels: list[Panel] = field(default_factory=lambda: [])
    strongest: list[tuple[str, float]] = field(default_factory=lambda: [])
    layers: list[list[float]] = field(default_factory=lambda: [])
    attribution: Attribution | None = None

    def values(self) -> dict[str, Any]:
        """Numbers as JSON values."""
        made: dict[str, Any] = {"method": self.method}
        if self.words:
            made["words"] = [[word.text, word.value] for word in self.words]
        elif self.strongest:
            made["values"] = dict(self.strongest)
        if self.attribution is not None:
            made |= {
                "output": self.attribution.output,
                "baseline_output": self.attribution.baseline,
                "completeness_error": self.attribution.error,
                "steps": self.attribution.steps,
            }
        return made


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a task answers one input as it does.

    Args:
        name: Of the input.
        run: Name of the run, with the step.
        prediction: The answer.
        chances: Probabilities of classes or values of actions by name, the largest first.
        target: The output that is explained: "class positive".
        parts: Of each method.
        notes: What there is to know beside, such as that a text was cut.
    """

    name: str
    run: str
    prediction: Prediction
    chances: list[tuple[str, float]]
    target: str
    parts: list[Part]
    notes: list[str] = field(default_factory=lambda: [])

    def line(self) -> str:
        """For the terminal: the answer, what is strongest, the check."""
        pieces = [self.prediction.line]
        strongest = next((part.strongest for part in self.parts if part.strongest), [])
        if strongest:
            pieces.append(", ".join(f"{name} {value:+.3g}" for name, value in strongest[:5]))
        pieces += [part.attribution.line() for part in self.parts if part.attribution is not None]
        return "  ".join(pieces)

    def record(self) -> dict[str, Any]:
        """All numbers as JSON values."""
        return {
            "input": self.name,
            "run": self.run,
            **self.prediction.values,
            "explained": self.target,
            "notes": self.notes,
            "methods": [part.values() for part in self.parts],
        }


def strongest(named: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The values that are largest without their sign; of equal names the sum."""
    sums: dict[str, float] = {}
    for name, value in named:
        sums[name] = sums.get(name, 0.0) + value
    return sorted(((n, v) for n, v in sums.items() if v), key=lambda pair: -abs(pair[1]))[:MOST_STRONGEST]
