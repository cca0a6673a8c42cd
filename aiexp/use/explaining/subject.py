"""What is explained: an output for each class or action, as a function of a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from aiexp.errors import ConfigError, nearest
from aiexp.task.base import Task

MOST_NAMED = 12
CLASS, ACTION = "class", "action"
VALUES = "values"  # the output of a network that values actions

Function = Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Something with an output for each of its names.

    Args:
        outputs: (B, C) float32 of a batch, whose tensors may be floats where they are pixels otherwise.
        names: C of them; empty where they are numbers.
        noun: What one of them is: "class", "action".
        network: The module behind it, and its tensor's name in a batch, where a task plays with it.
    """

    outputs: Callable[[dict[str, Tensor]], Tensor]
    names: list[str]
    noun: str
    network: tuple[nn.Module, str] | None = None

    def name(self, number: int) -> str:
        """What an output is called."""
        return self.names[number] if self.names else f"{self.noun} {number}"

    def number(self, word: str, count: int) -> int:
        """The output that a word names.

        Raises:
            ConfigError: none of so many.
        """
        if word in self.names:
            return self.names.index(word)
        if word.isascii() and word.isdigit() and int(word[:9]) < count:
            return int(word)
        known = self.names or [f"0 to {count - 1}"]
        listed = ", ".join(known[:MOST_NAMED]) + (", ..." if known[MOST_NAMED:] else "")
        raise ConfigError(
            f"there is no {self.noun} '{word}'.{nearest(word, self.names)}", where="--target", fix=listed
        )


def subject_of(task: Task) -> Subject:
    """What can be explained of a task: the logits of a classifier, or the values of actions.

    Raises:
        ConfigError: it has neither.
    """
    if type(task).logits is not Task.logits:
        names: list[str] = list(getattr(task, "class_names", []))
        return Subject(outputs=task.logits, names=names, noun=CLASS)
    networks = [] if type(task).networks is Task.networks else list(task.networks().values())
    valuing = [n for n in networks if len(n.inputs) == 1 and n.outputs == (VALUES,)]
    if len(valuing) != 1:
        name = type(task).__name__
        raise ConfigError(
            f"{name} is no classifier, and has no network that values actions: there is nothing to explain",
            where="aiexp explain", fix="a run whose task has `logits`: aiexp/task/base.py",
        )  # fmt: skip
    (name,), module = valuing[0].inputs, valuing[0].module
    return Subject(outputs=lambda b: module(b[name]), names=[], noun=ACTION, network=(module, name))
