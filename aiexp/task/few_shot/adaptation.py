"""The inner loop of meta-learning: a few gradient steps on one task, for all tasks of a batch at once."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.func import (
    functional_call,  # pyright: ignore[reportUnknownVariableType]
    grad,  # pyright: ignore[reportUnknownVariableType]
    vmap,  # pyright: ignore[reportUnknownVariableType]
)

# Tensor letters: M tasks, K support points, Q query points; x and y keep their further dimensions.

Parameters = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@final
class Adaptation:
    """Gradient descent from shared parameters to the parameters of each task.

    Every method sees all tasks at once: one vmapped computation, not a loop over tasks.

    Args:
        learner: Network; what it computes must depend on its inputs and parameters alone.
        loss: Of outputs and targets, a mean over the points.
        lr: Learning rate of the steps, positive.
    """

    def __init__(self, learner: nn.Module, loss: Loss, lr: float) -> None:
        self.learner, self.loss, self.lr = learner, loss, lr

    def parameters(self) -> Parameters:
        """The shared parameters by name."""
        return dict(self.learner.named_parameters())

    def adapted(self, x: Tensor, y: Tensor, steps: int, points: int | None = None) -> Parameters:
        """Parameters (M, ...) after `steps` from the shared ones, which they can be differentiated by.

        Args:
            x: (M, K, ...) inputs.
            y: (M, K, ...) targets.
            steps: Gradient steps, at least 0.
            points: Of each step, taken in turn; None for all.
        """

        def one_task(parameters: Parameters, x: Tensor, y: Tensor) -> Parameters:
            for step in range(steps):
                rows = self.rows(x.shape[0], step, points)
                parameters = self.descend(parameters, x[rows], y[rows], self.lr)
            return parameters

        return vmap(one_task, in_dims=(None, 0, 0), out_dims=0)(self.parameters(), x, y)

    def adapted_first_order(self, x: Tensor, y: Tensor, steps: int, points: int | None = None) -> Parameters:
        """As `adapted`, but without a graph: what the steps did counts as a constant."""
        with torch.no_grad():
            return self.adapted(x, y, steps, points)

    def outputs(self, parameters: Parameters, x: Tensor) -> Tensor:
        """(M, Q, ...) what the learner with parameters (M, ...) makes of (M, Q, ...)."""

        def one_task(parameters: Parameters, x: Tensor) -> Tensor:
            return functional_call(self.learner, parameters, (x,))

        return vmap(one_task)(parameters, x)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """(M,) the loss of each task."""
        return vmap(self.loss)(outputs, y)

    def outputs_after(
        self, x: Tensor, y: Tensor, query_x: Tensor, steps: list[int], lr: float | None = None
    ) -> Tensor:
        """(S, M, Q, ...) outputs for the query points after each of S numbers of steps.

        Args:
            x: (M, K, ...) inputs to adapt to.
            y: (M, K, ...) targets.
            query_x: (M, Q, ...) inputs to ask for.
            steps: Ascending numbers of steps, 0 for none.
            lr: Learning rate, None for that of training.
        """
        rate = self.lr if lr is None else lr

        def one_task(parameters: Parameters, x: Tensor, y: Tensor, query_x: Tensor) -> Tensor:
            outputs: list[Tensor] = []
            for step in range(steps[-1] + 1):
                if step:
                    parameters = self.descend(parameters, x, y, rate)
                if step in steps:
                    outputs.append(functional_call(self.learner, parameters, (query_x,)))
            return torch.stack(outputs)

        return vmap(one_task, in_dims=(None, 0, 0, 0), out_dims=1)(self.parameters(), x, y, query_x)

    def descend(self, parameters: Parameters, x: Tensor, y: Tensor, lr: float) -> Parameters:
        """One step of one task."""

        def loss(parameters: Parameters) -> Tensor:
            return self.loss(functional_call(self.learner, parameters, (x,)), y)

        gradients: Parameters = grad(loss)(parameters)
        return {name: value - lr * gradients[name] for name, value in parameters.items()}

    @staticmethod
    def rows(count: int, step: int, points: int | None) -> slice:
        """The points of a step: `points` of them in turn, beginning anew when too few are left."""
        if points is None or points >= count:
            return slice(0, count)
        start = step % (count // points) * points
        return slice(start, start + points)
