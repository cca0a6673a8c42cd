"""Whether a classifier is right as often as it says: bins of confidence, their error, a temperature."""

from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from aiexp.use.evaluating.scores import Scores, log_softmax, negative_log_likelihood

NUM_BINS = 15  # of equal width, as in Guo et al.
# Temperatures that are looked among, as logarithms: 0.02 to 50.
LOG_RANGE = (-3.9, 3.9)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Examples of like confidence.

    Args:
        low: Confidence above which they are.
        high: Confidence up to which they are.
        count: How many they are.
        confidence: Their mean; NaN where there are none.
        accuracy: Share of them that is right; NaN likewise.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How a classifier's confidence compares with how often it is right.

    Args:
        bins: From low confidence to high.
        error: Expected calibration error.
        temperature: By which logits divided are most likely on the split that it was fitted on; None where
            there are no examples to fit it on.
        fitted_on: That split.
        error_after: Expected calibration error at that temperature.
        loss: Mean negative log-likelihood.
        loss_after: The same at that temperature.
    """

    bins: list[Bin]
    error: float
    loss: float
    temperature: float | None = None
    fitted_on: str = ""
    error_after: float | None = None
    loss_after: float | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether the temperature is as far as one looks: the examples would have it smaller or larger."""
        return self.temperature in [temperature_of(bound) for bound in LOG_RANGE]

    def numbers(self) -> dict[str, Any]:
        """As JSON values."""
        bins = [{k: None if v != v else v for k, v in asdict(one).items()} for one in self.bins]
        return {**asdict(self), "bins": bins}


def calibrate(scores: Scores, fitting: Scores | None, fitted_on: str) -> Calibration:
    """The calibration of a classifier on a split.

    Args:
        scores: Its answers there.
        fitting: Its answers on the split that the temperature is fitted on.
        fitted_on: The name of that.

    Source: Guo et al. 2017 (arXiv 1706.04599), equations 2, 3 and 9.
    """
    bins = bins_of(scores.logits, scores.labels)
    before = Calibration(bins=bins, error=expected_error(bins), loss=scores.loss)
    if fitting is None or not len(fitting):
        return before
    temperature = fit_temperature(fitting)
    cooled = scores.logits / temperature
    return Calibration(
        bins=bins,
        error=before.error,
        loss=before.loss,
        temperature=temperature,
        fitted_on=fitted_on,
        error_after=expected_error(bins_of(cooled, scores.labels)),
        loss_after=negative_log_likelihood(cooled, scores.labels),
    )


def bins_of(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Bin]:
    """The examples by their confidence, the probability of the class that they are taken for."""
    confidence = np.exp(log_softmax(logits).max(1))
    hits = logits.argmax(1) == labels
    edges = np.linspace(0, 1, NUM_BINS + 1)
    numbers = np.clip(np.searchsorted(edges, confidence, "left") - 1, 0, NUM_BINS - 1)
    bins: list[Bin] = []
    for number in range(NUM_BINS):
        members = numbers == number
        count = int(members.sum())
        bins.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                count=count,
                confidence=float(confidence[members].mean()) if count else float("nan"),
                accuracy=float(hits[members].mean()) if count else float("nan"),
            )
        )
    return bins


def expected_error(bins: list[Bin]) -> float:
    """The mean over all examples of how far the accuracy of their bin is from its confidence."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins if one.count) / total


def fit_temperature(scores: Scores) -> float:
    """The temperature at which the true classes are likeliest: logits are divided by it."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(scores.logits / temperature_of(log_temperature), scores.labels)

    found: Any = minimize_scalar(loss, bounds=LOG_RANGE, method="bounded", options={"xatol": 1e-4})
    # Where all are right the loss is flat long before the bound.
    best = min(LOG_RANGE, key=loss)
    return temperature_of(best if loss(best) <= found.fun else float(found.x))


def temperature_of(logarithm: float) -> float:
    """The temperature whose natural logarithm that is."""
    return float(np.exp(logarithm))
