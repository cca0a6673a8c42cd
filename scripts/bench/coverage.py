"""How often do our intervals hold the truth, and how often does a sentence claim a difference there is not?

    python scripts/bench/coverage.py            2,000 studies of each kind
    python scripts/bench/coverage.py --studies 500

A study is a handful of runs drawn from a distribution whose mean is known. Beside ours stand the methods that
were rejected: percentile and bias-corrected (BCa) bootstrap, as the issue asked for, and Student's interval.
"""

import argparse
import functools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from aiexp.compare.statistics.difference import LEVEL, holm
from aiexp.compare.statistics.interval import TRIM, interquartile_mean, interval_of, student
from aiexp.compare.statistics.pairs import pair_tests

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
NUM_RESAMPLES = 1000
SIZES = (3, 5, 10, 20)


def truths() -> Iterator[tuple[str, Draw]]:
    """Distributions of a result over seeds."""
    yield "normal", lambda r, shape: r.normal(0.9, 0.01, shape)
    yield "accuracy, mean 0.99, deviation 0.002", lambda r, shape: beta(r, 0.99, 0.002, shape)
    yield "accuracy, mean 0.99, deviation 0.005", lambda r, shape: beta(r, 0.99, 0.005, shape)
    yield "loss, log-normal 0.25", lambda r, shape: np.exp(r.normal(0, 0.25, shape))
    yield "loss, log-normal 0.5", lambda r, shape: np.exp(r.normal(0, 0.5, shape))
    yield "heavy tails, Student's with 5", lambda r, shape: r.standard_t(5, shape)
    yield "return, capped at 500 by a quarter", lambda r, shape: np.minimum(500, r.normal(475, 37, shape))
    yield "loss, log-normal 1.0", lambda r, shape: np.exp(r.normal(0, 1.0, shape))
    yield "one run in five fails", lambda r, shape: r.normal(1, 0.1, shape) - (r.random(shape) < 0.2)


def beta(random: np.random.Generator, mean: float, deviation: float, shape: tuple[int, ...]) -> Array:
    """Shares between 0 and 1."""
    size = mean * (1 - mean) / deviation**2 - 1
    return random.beta(mean * size, (1 - mean) * size, shape)


def center(draw: Draw, *, is_trimmed: bool) -> float:
    """The truth, from 4 million runs."""
    scores = np.sort(draw(np.random.default_rng(1), (4_000_000,)))
    cut = int(TRIM * len(scores)) if is_trimmed else 0
    return float(scores[cut : len(scores) - cut].mean())


def student_interval(studies: Array) -> Array:
    """Student's."""
    n = studies.shape[1]
    half = student(n - 1) * studies.std(axis=1, ddof=1) / n**0.5
    return np.stack([studies.mean(axis=1) - half, studies.mean(axis=1) + half], axis=1)


def resampled(studies: Array, statistic: Callable[[Array], Array]) -> Array:
    """(S, R): the statistic of resamples, sorted."""
    random = np.random.default_rng(0)
    n = studies.shape[1]
    parts = [
        statistic(part[:, random.integers(0, n, (NUM_RESAMPLES, n))]) for part in np.array_split(studies, 40)
    ]
    return np.sort(np.concatenate(parts), axis=1)


def percentile(studies: Array, statistic: Callable[[Array], Array]) -> Array:
    """The percentile bootstrap; of interquartile means it is what rliable 1.2 computes for one task."""
    tail = round(0.025 * NUM_RESAMPLES)
    values = resampled(studies, statistic)
    return np.stack([values[:, tail], values[:, -1 - tail]], axis=1)


def bca(studies: Array) -> Array:
    """The bias-corrected and accelerated bootstrap of the mean (Efron 1987)."""
    values, middle = resampled(studies, mean), studies.mean(axis=1, keepdims=True)
    off = studies - middle
    below = ((values < middle).mean(1) + (values <= middle).mean(1)) / 2
    bias = special.ndtri(np.clip(below, 1 / NUM_RESAMPLES, 1 - 1 / NUM_RESAMPLES))
    speed = (off**3).sum(1) / np.maximum(6 * (off**2).sum(1) ** 1.5, 1e-300)
    rows = np.arange(len(studies))
    ends: list[Array] = []
    for z in (-1.959964, 1.959964):
        level = special.ndtr(bias + (bias + z) / (1 - speed * (bias + z)))
        ends.append(values[rows, np.clip(level * NUM_RESAMPLES, 0, NUM_RESAMPLES - 1).astype(int)])
    return np.stack(ends, axis=1)


def mean(scores: Array) -> Array:
    """The mean of the last axis."""
    return scores.mean(-1)


def ours(studies: Array, *, is_trimmed: bool) -> Array:
    """What `aiexp compare` shows."""
    found = [interval_of(study, is_trimmed=is_trimmed) for study in studies]
    return np.array([[interval.low, interval.high] for interval in found if interval])


def coverage(num_studies: int) -> None:
    """Prints how often, in per cent, each method's interval holds the truth, and ours' width to Student's."""
    for is_trimmed in (False, True):
        methods: dict[str, Callable[[Array], Array]] = {
            "ours": functools.partial(ours, is_trimmed=is_trimmed),
            **({} if is_trimmed else {"Student's": student_interval, "BCa": bca}),
            "percentile": functools.partial(percentile, statistic=interquartile_mean if is_trimmed else mean),
        }
        print(
            f"\n{'interquartile mean' if is_trimmed else 'mean'}: " + ", ".join(methods),
            "(width to Student's)",
        )
        print(f"{'':38}" + "".join(f"{f'{n} seeds':>30}" for n in SIZES))
        for name, draw in truths():
            truth, row = center(draw, is_trimmed=is_trimmed), ""
            for n in SIZES:
                studies = draw(np.random.default_rng(n), (num_studies, n))
                ends = [method(studies) for method in methods.values()]
                shares = [100 * np.mean((e[:, 0] <= truth) & (truth <= e[:, 1])) for e in ends]
                width = np.median(np.diff(ends[0])) / np.median(np.diff(student_interval(studies)))
                row += f"{' '.join(f'{share:.1f}' for share in shares) + f' ({width:.2f})':>30}"
            print(f"{name:38}{row}", flush=True)


def false_alarms(num_studies: int) -> None:
    """Prints how many comparisons of equal groups, in per cent, hold a sentence that claims a difference."""
    print(f"\nfalse alarms of 4 equal groups (any of 6 pairs), at most {100 * LEVEL:.0f} % wanted")
    print(
        f"{'':38}"
        + "".join(f"{f'{n} seeds, ' + how:>20}" for n in SIZES[:3] for how in ("paired", "unpaired"))
    )
    for is_trimmed in (False, True):
        for name, draw in truths():
            row = ""
            for n in SIZES[:3]:
                studies = draw(np.random.default_rng(n), (num_studies // (8 if is_trimmed else 1), 4, n))
                for is_paired in (True, False):
                    alarms = [alarm(study, is_paired=is_paired, is_trimmed=is_trimmed) for study in studies]
                    row += f"{100 * np.mean(alarms):20.1f}"
            print(f"{name + (', IQM' if is_trimmed else ''):38}{row}", flush=True)


def alarm(study: Array, *, is_paired: bool, is_trimmed: bool) -> bool:
    """Whether any two of these groups, (k, n), are told apart."""
    scores = [
        {(0 if is_paired else i, j): float(x) for j, x in enumerate(row)} for i, row in enumerate(study)
    ]
    adjusted, _ = holm(pair_tests(scores, is_trimmed=is_trimmed).p_values())
    return bool(np.any(adjusted < LEVEL))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--part", choices=["coverage", "alarms"], help="only this")
    arguments = parser.parse_args()
    if arguments.part != "alarms":
        coverage(arguments.studies)
    if arguments.part != "coverage":
        false_alarms(arguments.studies)
