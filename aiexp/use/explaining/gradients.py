"""Integrated gradients, with the check that they add up; gradients of an output as they are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from aiexp.errors import HardwareError

FIRST_STEPS, MOST_STEPS = 16, 256
SMALL_SHARE = 0.01  # of the difference of outputs: an error that needs no further steps
SMALL = 1e-4  # an error of an output that is none
AT_ONCE = 16  # points of the path in a batch, at most: a network may enlarge pictures
NUMBERS_AT_ONCE = 2**21  # of their inputs: 5 texts of 512 tokens in BERT-base take some 2 GB


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """What each number of an input adds to an output, seen from a baseline.

    Args:
        values: Of the input's shape, float32 on the CPU.
        output: Of the input.
        baseline: Output of the baseline.
        steps: Points between the two whose gradients were taken.
    """

    values: Tensor
    output: float
    baseline: float
    steps: int

    @property
    def error(self) -> float:
        """By how much the values miss the difference of outputs, to which they ought to add up."""
        return abs(float(self.values.double().sum()) - (self.output - self.baseline))

    @property
    def relative_error(self) -> float:
        """As a share of that difference."""
        difference = abs(self.output - self.baseline)
        return self.error / difference if difference else math.inf if self.error else 0.0

    @property
    def is_good(self) -> bool:
        """Whether more steps would change nothing that can be seen."""
        return self.relative_error <= SMALL_SHARE or self.error <= SMALL

    def line(self) -> str:
        """The check in words."""
        return (
            f"completeness error {self.error:.2g} ({percent(self.relative_error)} of the difference "
            f"{self.output - self.baseline:+.4g}), {self.steps} steps"
        )


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.2g} %" if math.isfinite(share) else "more than all"


def check_captum() -> None:
    """Raises `HardwareError` unless captum is installed."""
    try:
        import captum.attr as _  # pyright: ignore[reportUnusedImport] # noqa: F401
    except ImportError as error:
        raise HardwareError(
            "integrated gradients need captum", where="aiexp explain", fix="pip install 'aiexp[explain]'"
        ) from error


def integrated_gradients(
    function: Callable[[Tensor], Tensor], example: Tensor, baseline: Tensor
) -> Attribution:
    """What each number of one input adds to an output.

    Source: Sundararajan et al. 2017 (arXiv 1703.01365), equation 1, by captum with Gauss-Legendre quadrature.
    Steps are doubled until what they add up to is right, or there are `MOST_STEPS`.

    Args:
        function: (B,) outputs of (B, ...) inputs.
        example: (1, ...) float32.
        baseline: Of the same shape.
    """
    check_captum()
    from captum.attr import IntegratedGradients

    method: Any = IntegratedGradients(function)
    with torch.no_grad():
        output, of_baseline = (float(function(one)) for one in (example, baseline))
    at_once = max(1, min(AT_ONCE, NUMBERS_AT_ONCE // example.numel()))
    best, steps = None, FIRST_STEPS
    while steps <= MOST_STEPS and not (best is not None and best.is_good):
        values: Tensor = method.attribute(
            example, baseline, n_steps=steps, internal_batch_size=at_once
        ).detach()
        made = Attribution(values=values[0].float().cpu(), output=output, baseline=of_baseline, steps=steps)
        best = made if best is None or made.error < best.error else best
        steps *= 2
    assert best is not None
    return best


def gradient(function: Callable[[Tensor], Tensor], example: Tensor) -> Tensor:
    """The gradient of an output; of the shape of one input, on the CPU.

    Source: Simonyan et al. 2013 (arXiv 1312.6034), section 3.

    Args:
        function: (B,) outputs of (B, ...) inputs.
        example: (1, ...) float32.
    """
    with torch.enable_grad():
        leaf = example.detach().clone().requires_grad_()
        (made,) = torch.autograd.grad(function(leaf).sum(), leaf)
    return made[0].float().cpu()
