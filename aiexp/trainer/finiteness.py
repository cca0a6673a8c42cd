"""No loss or gradient that is not finite is ever applied."""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor

from aiexp.errors import DivergedError
from aiexp.trainer.window import MOST_PENDING, snapshot
from aiexp.world.world import World

# What torch's GradScaler does with gradients: one kernel, which sets a flag if a number of theirs is not
# finite, and multiplies all by the last argument.
look_at: Any = torch._amp_foreach_non_finite_check_and_unscale_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
LOWER = "lower the learning rate or clip the gradient: trainer.clip=1.0"


class Finiteness(Protocol):
    """Sees every loss and gradient before its update."""

    def see_loss(self, name: str, loss: Tensor, number: int) -> Callable[[], Tensor | float]:
        """Begins to look at a loss of step `number`; call the result after its backward pass: its value."""
        ...

    def see_gradient(
        self, name: str, optimizer: torch.optim.Optimizer, norm: Tensor | None, number: int
    ) -> None:
        """Looks at the gradient that the optimizer is about to apply, by its `norm` where that is known."""
        ...

    def check(self) -> None:
        """Raises `DivergedError` if an update since the last call has not been applied."""
        ...


@final
class AtOnce:
    """Reads each number and raises before the update: on a CPU, where reading costs nothing.

    A gradient is looked at where it is clipped; a weight that it spoils unclipped is found by a checkpoint.

    Args:
        world: The ranks, which raise together.
        is_scaled: Whether gradients are those of a scaled loss, which may overflow: then the scaler looks.
    """

    def __init__(self, world: World, *, is_scaled: bool) -> None:
        self.world, self.is_scaled = world, is_scaled

    def see_loss(self, name: str, loss: Tensor, number: int) -> Callable[[], Tensor | float]:
        """Asks everyone for the loss; the result raises `DivergedError` unless all are finite."""
        value = loss.item()
        losses = self.world.ask(value)  # whoever meets one that is not finite must not leave alone

        def answered() -> float:
            raise_for(name, losses(), number)
            return value

        return answered

    def see_gradient(
        self, name: str, optimizer: torch.optim.Optimizer, norm: Tensor | None, number: int
    ) -> None:
        """Raises `DivergedError` unless the norm is finite."""
        if norm is not None and not self.is_scaled and not math.isfinite(value := norm.item()):
            raise diverged(f"gradient of '{name}' is {value}", number, "lower the learning rate")

    def check(self) -> None:
        """Nothing is left to find."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The losses of an update, and the norm of its gradient if it was clipped; each () float64."""

    name: str
    number: int
    losses: list[Tensor]
    norm: Tensor | None


@final
class Later:
    """Never reads: the GPU itself leaves out the update, and all after it, and the next line finds out which.

    With a scaled loss the scaler leaves out updates: later ones, finite again, may be applied until the next
    line ends the run. No checkpoint is written of them.

    Args:
        world: The ranks, which raise together.
        device: Of the losses.
        is_scaled: Whether gradients are those of a scaled loss, which may overflow: then the scaler looks.
    """

    def __init__(self, world: World, device: torch.device, *, is_scaled: bool) -> None:
        self.world, self.is_scaled = world, is_scaled
        self.is_bad = torch.zeros((), device=device)  # 1 from the first number that is not finite
        self.num_bad = torch.zeros((), device=device)  # updates that were left out
        self.one = torch.ones((), device=device)
        self.losses: list[Tensor] = []  # of the update to come
        self.seen: list[Seen] = []

    def see_loss(self, name: str, loss: Tensor, number: int) -> Callable[[], Tensor | float]:
        """Keeps the loss where it is."""
        value = snapshot(loss)
        self.losses.append(value)
        return lambda: value

    def see_gradient(
        self, name: str, optimizer: torch.optim.Optimizer, norm: Tensor | None, number: int
    ) -> None:
        """Tells the optimizer to leave out the update; waits only for an optimizer that cannot be told."""
        gradients = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        norms = [] if norm is None else [snapshot(norm)]
        looked_at = [] if self.is_scaled else norms or gradients
        look_at(self.losses, self.is_bad, self.one)
        for group in alike(looked_at):
            look_at(group, self.is_bad, self.one)
        self.world.spread(self.is_bad)
        self.num_bad += self.is_bad
        self.remember(Seen(name, number, self.losses, norms[0] if norms else None))
        self.losses = []
        if self.is_scaled:
            return  # the scaler skips the update
        if all(group.get("fused") for group in optimizer.param_groups):
            optimizer.found_inf = self.is_bad  # pyright: ignore[reportAttributeAccessIssue]
        else:
            self.check()

    def remember(self, update: Seen) -> None:
        """Adds an update, whose numbers the GPU has looked at, to those that `check` asks about."""
        self.seen.append(update)
        if len(self.seen) >= MOST_PENDING:
            self.check()

    @contextmanager
    def recording(self) -> Generator[list[Seen]]:
        """A body whose updates are only collected."""
        before, self.seen = self.seen, []
        try:
            yield self.seen
        finally:
            self.seen = before

    def check(self) -> None:
        """Raises `DivergedError` if an update since the last call has not been applied."""
        seen, self.seen = self.seen, []
        num_bad = int(self.num_bad.item()) if seen else 0
        if not num_bad:
            return
        first = seen[len(seen) - num_bad]
        values = self.world.gather([loss.item() for loss in first.losses])
        for position in range(len(first.losses)):
            raise_for(first.name, [losses[position] for losses in values], first.number)
        norm = "not finite" if first.norm is None else first.norm.item()
        raise diverged(f"gradient of '{first.name}' is {norm}", first.number, "lower the learning rate")


def alike(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors by their dtype: one kernel takes those of one."""
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return list(groups.values())


def raise_for(name: str, losses: list[float], number: int) -> None:
    """Raises `DivergedError` unless the losses of all ranks are finite."""
    for rank, value in enumerate(losses):
        if not math.isfinite(value):
            whose = f" of rank {rank}" if len(losses) > 1 else ""
            raise diverged(f"loss '{name}'{whose} is {value}", number, LOWER)


def diverged(what: str, number: int, fix: str) -> DivergedError:
    """The error of an update that was left out."""
    return DivergedError(f"{what} at step {number}; the update was not applied", fix=fix)
