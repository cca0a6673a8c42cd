"""Measures of a classifier as functions of counts, so that any number of resamples is measured at once.

Tensor letters: R resamples, C classes, K kinds of examples: pairs of a true and a predicted class that occur.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from aiexp.use.evaluating.resampling import NUM_RESAMPLES, Interval, interval, wilson

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted of some examples, or of each of R resamples of them (then with R in front).

    Args:
        right: (C,) examples of each class that were taken for it.
        true: (C,) examples of each class.
        predicted: (C,) examples taken for each class.
    """

    right: Array
    true: Array
    predicted: Array


@final
@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: a part of a whole.

    Args:
        parts: Both of them, of counts.
        is_share: Whether the whole is a number of examples and the part some of them.
    """

    parts: Callable[[Counts], tuple[Array, Array]]
    is_share: bool = False

    def __call__(self, counts: Counts) -> Array:
        """Its value, NaN of nothing."""
        part, whole = self.parts(counts)
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def macro_f1(counts: Counts) -> tuple[Array, Array]:
    """The F1 of the classes that occur or are predicted, and how many those are."""
    total = counts.true + counts.predicted
    f1 = np.where(total > 0, 2 * counts.right / np.maximum(total, 1), 0.0)
    return f1.sum(-1), (total > 0).sum(-1).astype(float)


ACCURACY = Measure(lambda c: (c.right.sum(-1), c.true.sum(-1)), is_share=True)
MACRO_F1 = Measure(macro_f1)
# Of two classes, the second is the positive one.
F1 = Measure(lambda c: (2 * c.right[..., 1], c.true[..., 1] + c.predicted[..., 1]))
FALSE_POSITIVE_RATE = Measure(lambda c: (c.true[..., 0] - c.right[..., 0], c.true[..., 0]), is_share=True)
FALSE_NEGATIVE_RATE = Measure(lambda c: (c.true[..., 1] - c.right[..., 1], c.true[..., 1]), is_share=True)


def measures_for(num_classes: int, *, is_by_class: bool) -> dict[str, Measure]:
    """The measures that say something of a group, by name.

    Args:
        num_classes: Of the classifier.
        is_by_class: Whether each group has a single true class.
    """
    if is_by_class:
        return {"accuracy": ACCURACY}
    if num_classes > 2:
        return {"accuracy": ACCURACY, "macro_f1": MACRO_F1}
    return {
        "accuracy": ACCURACY,
        "f1": F1,
        "false_positive_rate": FALSE_POSITIVE_RATE,
        "false_negative_rate": FALSE_NEGATIVE_RATE,
    }


def count(true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Counts:
    """The counts of (N,) true and predicted classes."""
    columns = (true[true == predicted], true, predicted)
    return Counts(*(np.bincount(column, minlength=num_classes).astype(float) for column in columns))


def resample(
    true: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int, random: np.random.Generator
) -> Counts:
    """The counts of R bootstrap resamples: draws of how many examples there are of each kind.

    A measure asks for nothing else of the examples, so this is the bootstrap over examples, without copying
    any: a thousandth of a second where resampling by index takes a second.
    """
    kinds, numbers = np.unique(true * num_classes + predicted, return_counts=True)  # (K,)
    drawn = random.multinomial(len(true), numbers / len(true), NUM_RESAMPLES).astype(float)  # (R, K)
    classes = np.arange(num_classes)
    of_true = (kinds // num_classes)[:, None] == classes  # (K, C)
    of_predicted = (kinds % num_classes)[:, None] == classes
    return Counts(
        right=drawn @ (of_true & of_predicted).astype(float),
        true=drawn @ of_true.astype(float),
        predicted=drawn @ of_predicted.astype(float),
    )


def interval_of(measure: Measure, counts: Counts, resampled: Counts) -> Interval | None:
    """The 95 % interval of a measure: of a share by Wilson, which resamples of few or equal ones cannot give.

    Args:
        measure: What is measured.
        counts: Of the examples.
        resampled: Of resamples of them.
    """
    if not measure.is_share:
        return interval(measure(resampled))
    part, whole = (float(value) for value in measure.parts(counts))
    return wilson(part, whole) if whole else None
