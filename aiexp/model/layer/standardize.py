"""Numbers brought to mean 0 and deviation 1, as they were in training."""

from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn

# Deviation over the largest magnitude of a number that says something; others become 0. float32, in which
# numbers arrive, tells no smaller changes apart; the sums below are of float64 and err less.
LEAST_DEVIATION = 1e-7


@final
class Standardize(nn.Module):
    """Subtracts a mean and divides by a deviation, both of which are saved with the weights.

    Args:
        shape: Of an example.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("scale", torch.ones(*shape))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Takes mean and deviation of each number over all examples, (B, ...) at a time."""
        count, mean, squares = 0, torch.zeros_like(self.mean, dtype=torch.float64), torch.zeros(())
        largest = torch.zeros_like(mean)
        for batch in batches:
            values = batch.double()
            size, own = len(values), values.mean(0)
            apart = own - mean
            largest = torch.maximum(largest, values.abs().amax(0))
            # Chan, Golub & LeVeque 1983: two parts put together without loss of digits.
            share = size / (count + size)
            squares = squares + (values - own).square().sum(0) + apart.square() * (count * share)
            count, mean = count + size, mean + apart * share
        deviation = (squares / max(count, 1)).sqrt()
        self.mean.copy_(mean)
        least = (LEAST_DEVIATION * largest).clamp(min=torch.finfo(self.scale.dtype).tiny)  # 1 / it is finite
        self.scale.copy_(torch.where(deviation > least, 1 / deviation, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) float32."""
        return (x.float() - self.mean) * self.scale

    def undo(self, x: Tensor) -> Tensor:
        """What `forward` was given, (B, ...); of a number that never changes the mean."""
        return x / torch.where(self.scale > 0, self.scale, 1.0) * (self.scale > 0) + self.mean
