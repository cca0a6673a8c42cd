"""The learning-rate range test: rates, where the loss falls fastest, when it has exploded."""

import itertools
import math

import pytest

from aiexp.runs.rate_range import HIGHEST, LOWEST, Rising, has_exploded, steepest


def test_rates_rise_by_one_factor_whatever_the_optimizer_s_own_rate() -> None:
    rising = Rising(own=0.02, num_steps=9)
    rates = [0.02 * rising.factor(step, 1000) for step in range(1, 10)]
    assert rates[0] == pytest.approx(LOWEST)
    assert rates[-1] == pytest.approx(HIGHEST)
    assert [b / a for a, b in itertools.pairwise(rates)] == pytest.approx([10.0] * 8)


def test_the_steepest_fall_of_a_curve_that_is_known() -> None:
    rates = [10.0 ** (i / 10 - 6) for i in range(60)]
    # Falls along a logistic curve around 1e-3 and rises again after 1e-1.
    losses = [
        2 - 1 / (1 + math.exp(-3 * (math.log10(r) + 3))) + max(0, math.log10(r) + 1) ** 2 for r in rates
    ]
    found = steepest(rates, losses)
    assert found is not None
    assert 0.8e-3 < found < 1.25e-3


def test_a_loss_that_never_falls_has_no_steepest_fall() -> None:
    assert steepest([1e-3, 1e-2, 1e-1, 1.0], [1.0, 1.0, 1.1, 2.0]) is None


def test_a_loss_explodes_when_it_rises_by_more_than_it_has_fallen() -> None:
    assert not has_exploded([2.0, 1.0, 1.5])
    assert not has_exploded([2.0, 1.9, 2.3])
    assert has_exploded([2.0, 1.0, 5.5])
    assert has_exploded([2.0, 2.1, 2.7])
