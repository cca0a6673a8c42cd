"""Flags by which `compare` and `board` are asked the same."""

from typing import Literal

from aiexp.command.flags import Flag
from aiexp.compare.question import Question

QUESTION = (
    Flag("--by", "groups by this key (or group: model) alone", value="KEY"),
    Flag("--metric", "what to compare by; default: what the task is judged by", value="NAME"),
    Flag("--higher", "higher is better, if the metric's name does not say it"),
    Flag("--lower", "lower is better, likewise"),
)


def question_of(flags: dict[str, str]) -> Question:
    """What was asked; of --higher and --lower the last one counts."""
    ways: list[Literal["max", "min"]] = [
        "max" if flag == "higher" else "min" for flag in flags if flag in ("higher", "lower")
    ]
    return Question(by=flags.get("by"), metric=flags.get("metric"), direction=ways[-1] if ways else None)
