"""What the differences mean, in words."""

from collections.abc import Sequence

from aiexp.compare.comparison import Group
from aiexp.compare.metric import Metric
from aiexp.compare.statistics.difference import MOST_RUNS, Difference
from aiexp.text.number import decimals_for, show

FEW_GROUPS = 4  # of so many, every pair has a sentence; of more, only those with the best
MOST_SENTENCES = 5


def sentences_for(
    groups: Sequence[Group], differences: Sequence[Difference], metric: Metric, unit: str
) -> list[str]:
    """The sentences of a comparison.

    Args:
        groups: The best first.
        differences: Between any of them.
        metric: What they are compared by.
        unit: What a group holds several of: "seeds" or "runs".
    """
    telling = [d for d in differences if d.num_runs > 1]
    if len(groups) <= FEW_GROUPS:
        return [_sentence(d, groups, metric, unit) for d in telling]
    best = [d for d in telling if 0 in (d.first, d.second)]
    close = sorted((d for d in best if not d.is_sure), key=lambda d: d.second)
    sure = sorted((d for d in best if d.is_sure and d.first == 0), key=lambda d: d.value)
    sentences = [_sentence(d, groups, metric, unit) for d in close[:MOST_SENTENCES]]
    if len(close) > MOST_SENTENCES:
        sentences.append(f"{groups[0].name} cannot be told from {len(close) - MOST_SENTENCES} more either")
    if len(sure) == 1:
        sentences.append(_sentence(sure[0], groups, metric, unit))
    elif sure:
        words = "the others" if not close else "others"
        sentences.append(
            f"{groups[0].name} is better than {len(sure)} {words}, the nearest of them "
            f"{groups[sure[0].second].name}, by {_amount(sure[0], groups, metric)} or more"
        )
    return sentences


def _sentence(difference: Difference, groups: Sequence[Group], metric: Metric, unit: str) -> str:
    """One pair: better by how much, or how many runs would tell."""
    first, second = (groups[i].name for i in (difference.first, difference.second))
    amount = _amount(difference, groups, metric)
    if difference.is_sure:
        return f"{first} is better than {second} by {amount}"
    have = f"with {difference.num_runs} {unit}"
    if difference.p is None:
        return f"{first} and {second} differ by {amount} {have}, each time exactly: no spread to judge by"
    if difference.value == 0:
        return f"{first} and {second} are equal {have}"
    if difference.needed_runs is None:
        would = f"more than {MOST_RUNS:,} would be needed"
    else:
        would = f"about {difference.needed_runs} would do"
    return f"{first} and {second} cannot be told apart {have}, {would} (difference {amount})"


def _amount(difference: Difference, groups: Sequence[Group], metric: Metric) -> str:
    """`1.2 points (0.4 to 2.0)`."""
    scores = [score for i in (difference.first, difference.second) for score in groups[i].scores]
    factor, word = (100, " points") if metric.in_points(scores) else (1, "")
    value, interval = difference.value * factor, difference.interval
    if interval is None:
        return f"{show(value, decimals_for([], [value]))}{word}"
    low, high = interval.low * factor, interval.high * factor
    decimals = decimals_for([(high - low) / 2], [value], is_terse=True)
    return f"{show(value, decimals)}{word} ({show(low, decimals)} to {show(high, decimals)})"
