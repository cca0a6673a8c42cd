"""Moments of an episode: what a network was asked while a task played."""

from typing import Any, Self, final

from torch import Tensor, nn


@final
class Moments:
    """Around code that calls a network on one observation at a time: keeps the most decided one.

    Args:
        module: The network, with a value for each action.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.calls = 0
        self.lead = -1.0  # of the best action over the second
        self.step = 0  # of the episode, from 1 on
        self.observation: Tensor | None = None

    def __enter__(self) -> Self:
        self.handle = self.module.register_forward_hook(self.note)
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def note(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Takes a call; the first is the question itself, which holds no observation where one plays."""
        self.calls += 1
        if self.calls == 1 or output.shape[-1] < 2:
            return
        first, second = output[0].float().topk(2).values.tolist()
        if first - second > self.lead:
            self.lead, self.step, self.observation = first - second, self.calls - 1, args[0][:1].clone()

    def line(self) -> str:
        """What is explained, in a sentence."""
        return (
            "Explained is the step of the episode at which the best action leads most: "
            f"step {self.step} of {self.calls - 1}, by {self.lead:.4g}."
        )
