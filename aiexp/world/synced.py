"""Gradients of one optimizer, averaged over all ranks while backward runs."""

import warnings
from contextlib import nullcontext
from typing import final

from torch import Tensor, nn


@final
class Synced:
    """DistributedDataParallel around the parameters alone, called on the loss.

    So a task calls its networks as it likes: several times, with other parameters (`functional_call`), or not
    at all. DDP sees the loss, whose graph tells which parameters take part. Unused ones are always looked
    for, which keeps the buckets as they were made: a resumed run adds up gradients in the same order.

    Args:
        parameters: At least one, all with `requires_grad`, the same on every rank.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        # Filters of one channel: the strides of a dimension of one differ, and nothing else.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        self._ddp = nn.parallel.DistributedDataParallel(
            _Identity(parameters), find_unused_parameters=True, gradient_as_bucket_view=True
        )

    def __call__(self, loss: Tensor, *, is_last: bool) -> Tensor:
        """The loss; its backward ends with averaged gradients if it is the last micro-batch of an update."""
        with nullcontext() if is_last else self._ddp.no_sync():
            return self._ddp(loss)


@final
class _Identity(nn.Module):
    """A module that holds parameters and returns what it is given."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.held = nn.ParameterList(parameters)

    def forward(self, loss: Tensor) -> Tensor:
        return loss
