"""What a task says of one input."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

SHOWN_DIGITS = 4
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The answer to one input.

    Args:
        line: For people, without a line break.
        values: JSON values by name, the most important first: `{"label": "positive", "probability": 0.98}`.
        pictures: PNG or (animated) GIF bytes by name.
        text: What people read instead of the line where that is text of many lines; "" where there is none.
    """

    line: str
    values: Json
    pictures: dict[str, bytes] = field(default_factory=lambda: {})
    text: str = ""


def classified(probabilities: Tensor, class_names: Sequence[str]) -> list[Prediction]:
    """The most probable class of each row, with the probabilities of all.

    Args:
        probabilities: (B, C) float32.
        class_names: C of them.
    """
    best = probabilities.argmax(1).tolist()
    return [
        Prediction(
            line=f"{class_names[number]}  {row[number]:.{SHOWN_DIGITS}f}",
            values={
                "label": class_names[number],
                "probability": row[number],
                "probabilities": dict(zip(class_names, row, strict=True)),
            },
        )
        for number, row in zip(best, probabilities.tolist(), strict=True)
    ]
