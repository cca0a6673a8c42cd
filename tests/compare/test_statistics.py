"""Intervals, tests and sample sizes against scipy.stats and simulation."""

import numpy as np
import pytest
from scipy import stats

from aiexp.compare.statistics.difference import compare_pairs, holm, needed_runs
from aiexp.compare.statistics.interval import Center, center_of, interval_of, studentized
from aiexp.compare.statistics.pairs import pair_tests

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_scores_have_students_interval(n: int) -> None:
    scores = RANDOM.normal(size=n)
    found = interval_of(scores, is_trimmed=False)
    assert found is not None
    expected = stats.t.interval(0.95, n - 1, scores.mean(), scores.std(ddof=1) / n**0.5)
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_single_score_has_no_interval() -> None:
    assert interval_of(np.array([0.5]), is_trimmed=False) is None
    assert interval_of(np.array([0.5]), is_trimmed=True) is None


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("is_skewed", [False, True])
def test_the_interval_holds_the_truth(n: int, is_skewed: bool) -> None:
    """The percentile and BCa bootstrap hold it in 84 % of such studies of 5."""
    draws = np.random.default_rng(n).normal(size=(600, n))
    studies, truth = (np.exp(draws / 4), np.exp(1 / 32)) if is_skewed else (draws, 0.0)
    ends = studentized(studies)
    share = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert 0.925 <= share <= 0.975  # 2.5 standard errors of 600 studies around 0.95


def test_the_interval_is_lopsided_as_the_scores_are_and_does_not_depend_on_their_order() -> None:
    scores = np.array([1.0, 1.01, 1.02, 1.03, 1.5, 2.0])
    found = interval_of(scores, is_trimmed=False)
    assert found is not None
    assert found.high - scores.mean() > 1.3 * (scores.mean() - found.low)
    assert interval_of(scores[::-1], is_trimmed=False) == found


@pytest.mark.parametrize(
    "scores", [[0.9] * 6, [0.9] * 5 + [0.91], [0.9, 0.9, 0.9, 0.91, 0.91], [1e30, 0, 0, 0, 0]]
)
def test_ties_give_finite_intervals(scores: list[float]) -> None:
    found = interval_of(np.array(scores), is_trimmed=False)
    assert found is not None
    assert found.low <= np.mean(scores) <= found.high
    assert np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize("n", [3, 5, 8, 20])
def test_the_interquartile_mean_is_scipys(n: int) -> None:
    scores = RANDOM.normal(size=n) ** 3
    center = center_of(scores, is_trimmed=True)
    assert center.value == pytest.approx(stats.trim_mean(scores, 0.25))
    assert center.freedom == n - 1


def test_one_failed_run_hardly_moves_the_interquartile_mean() -> None:
    scores = np.array([498.0, 499, 500, 500, 500, 497, 499, 20])
    found, mean = (interval_of(scores, is_trimmed=trimmed) for trimmed in (True, False))
    assert found is not None
    assert mean is not None
    assert mean.low < 400 < 440 < mean.high
    assert found.low < 498 < found.high <= 500
    assert center_of(scores, is_trimmed=True).value > 498
    assert found.high - found.low < (mean.high - mean.low) * 0.7


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_of_the_interquartile_mean_holds_the_truth(n: int) -> None:
    studies = np.random.default_rng(n).normal(size=(300, n))
    found = [interval_of(study, is_trimmed=True) for study in studies]
    share = np.mean([interval.low <= 0 <= interval.high for interval in found if interval])
    assert 0.9 <= share <= 0.985


def groups_of(table: np.ndarray) -> list[dict[int, float]]:
    return [{j: float(x) for j, x in enumerate(row) if not np.isnan(x)} for row in table]


def test_shared_seeds_are_paired_and_others_are_two_samples() -> None:
    table = RANDOM.normal(size=(3, 6)) + 1000
    table[1, 5] = np.nan  # one failed run: still paired, on five
    found = pair_tests(groups_of(table), is_trimmed=False)
    assert found.is_paired.all()
    assert found.num_runs.tolist() == [5, 6, 5]
    expected = [
        stats.ttest_rel(table[0, :5], table[1, :5]),
        stats.ttest_rel(table[0], table[2]),
        stats.ttest_rel(table[1, :5], table[2, :5]),
    ]
    assert found.p_values() == pytest.approx([e.pvalue for e in expected])
    groups = groups_of(table)
    groups[2] = {key + 4: score for key, score in groups[2].items()}  # two of six are shared
    found = pair_tests(groups, is_trimmed=False)
    assert found.is_paired.tolist() == [True, False, False]
    welch = stats.ttest_ind(table[0], table[2], equal_var=False)
    assert found.p_values()[1] == pytest.approx(welch.pvalue)
    assert found.freedom[1] == pytest.approx(welch.df)


def test_what_cannot_be_tested_is_not() -> None:
    single, pair = {0: 1.0}, {0: 1.0, 1: 2.0}
    shifted = {0: 1.5, 1: 2.5}
    equal = {0: 1.0, 1: 2.0}
    p = pair_tests([single, pair, shifted, equal], is_trimmed=False).p_values()
    assert np.isnan(p[[0, 1, 2]]).all()  # a single run
    assert np.isnan(p[3])  # differs by exactly 0.5 in both: two equal numbers are no proof
    assert p[4] == 1.0


def test_holm() -> None:
    adjusted, levels = holm(np.array([0.01, np.nan, 0.04, 0.03]))
    assert adjusted == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    assert levels[[0, 3, 2]] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])


@pytest.mark.parametrize("is_paired", [True, False])
def test_false_alarms_are_rare(is_paired: bool) -> None:
    """4 equal groups, 6 pairs; without the correction it is one study in five."""
    studies = np.random.default_rng(3).normal(size=(400, 4, 5))
    alarms = 0
    for study in studies:
        scores = [
            {(0 if is_paired else i, j): float(x) for j, x in enumerate(row)} for i, row in enumerate(study)
        ]
        alarms += bool((holm(pair_tests(scores, is_trimmed=False).p_values())[0] < 0.05).any())
    assert alarms / 400 <= 0.08  # 2.7 standard errors above 0.05


def test_the_needed_runs_have_the_power_promised() -> None:
    first = RANDOM.normal(size=(2000, 400))
    center = Center(0.8, 1 / 5**0.5, 4)  # 0.8 deviations, seen with 5 pairs
    needed = needed_runs(center, 5, 0.05, is_paired=True)
    assert needed == 15  # as in Cohen's tables
    p = stats.ttest_1samp(first[:, :needed] + 0.8, 0, axis=1).pvalue
    assert 0.77 < np.mean(p < 0.05) < 0.86
    unpaired = needed_runs(Center(0.8, (2 / 5) ** 0.5, 8), 5, 0.05, is_paired=False)
    assert unpaired == 26  # G*Power, Cohen's d of 0.8
    assert needed_runs(Center(1e-3, 1.0, 4), 5, 0.05, is_paired=True) is None
    assert needed_runs(center, 5, 0.01, is_paired=True) > needed


def test_the_better_group_is_first_whatever_the_direction() -> None:
    groups = [{0: 1.0, 1: 1.1, 2: 0.9}, {0: 2.0, 1: 2.1, 2: 1.95}]
    (higher,) = compare_pairs(groups, 1, is_trimmed=False)
    (lower,) = compare_pairs(groups, -1, is_trimmed=False)
    assert (higher.first, lower.first) == (1, 0)
    assert higher.value == lower.value > 0
    assert higher.interval == lower.interval
    assert higher.interval is not None
    assert higher.interval.low < higher.value < higher.interval.high
