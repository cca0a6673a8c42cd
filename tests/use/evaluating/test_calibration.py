"""Calibration: the numbers that one gets by hand, and a temperature that undoes too much confidence."""

import numpy as np
import pytest

from aiexp.use.evaluating.calibration import NUM_BINS, bins_of, calibrate, expected_error, fit_temperature
from aiexp.use.evaluating.diagram import reliability_diagram
from aiexp.use.evaluating.scores import Scores


def scores_of(probabilities: list[list[float]], labels: list[int]) -> Scores:
    logits = np.log(np.array(probabilities))
    return Scores(
        name="run", class_names=["a", "b"], logits=logits, labels=np.array(labels),
        places=np.arange(len(labels)), examples="",
    )  # fmt: skip


def drawn(count: int, factor: float) -> Scores:
    """Labels drawn from the probabilities of logits, which are then multiplied."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 2)) * 1.5
    positive = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    labels = (random.random(count) < positive).astype(np.int64)
    return Scores(
        name="run", class_names=["a", "b"], logits=logits * factor, labels=labels,
        places=np.arange(count), examples="",
    )  # fmt: skip


def test_the_error_is_the_mean_gap_of_the_bins_by_hand() -> None:
    # Two examples of confidence 0.9, one right; two of 0.6, both right: gaps 0.4 and 0.4.
    scores = scores_of([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.6, 0.4]], [0, 1, 1, 0])
    bins = bins_of(scores.logits, scores.labels)
    assert len(bins) == NUM_BINS
    assert [(round(b.confidence, 6), b.accuracy) for b in bins if b.count] == [(0.6, 1.0), (0.9, 0.5)]
    assert expected_error(bins) == pytest.approx(0.4)


def test_every_example_is_in_one_bin_with_those_at_the_edges() -> None:
    edges = [[1.0 - 1e-16, 1e-16], [0.5, 0.5], [0.6, 0.4], [2 / 3, 1 / 3]]
    bins = bins_of(np.log(np.array(edges)), np.zeros(4, np.int64))
    assert sum(one.count for one in bins) == 4
    assert bins[-1].count == 1
    assert all(one.low - 1e-12 <= one.confidence <= one.high + 1e-12 for one in bins if one.count)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_the_factor_on_calibrated_logits(factor: float) -> None:
    scores = drawn(20_000, factor)
    assert fit_temperature(scores) == pytest.approx(factor, rel=0.05)
    found = calibrate(scores, scores, "eval")
    assert found.error_after is not None
    assert found.loss_after is not None
    assert found.error_after < 0.02
    assert found.loss_after <= found.loss + 1e-9
    if factor != 1.0:
        assert found.error > 0.1


def test_a_temperature_that_has_no_end_is_known_for_one() -> None:
    right = scores_of([[0.9, 0.1], [0.2, 0.8]], [0, 1])
    assert calibrate(right, right, "eval").is_bounded
    assert not calibrate(drawn(500, 3.0), drawn(500, 3.0), "eval").is_bounded


def test_without_examples_to_fit_on_there_is_no_temperature() -> None:
    found = calibrate(scores_of([[0.9, 0.1]], [0]), None, "")
    assert found.temperature is None
    assert found.error == pytest.approx(0.1)
    assert found.numbers()["bins"][0]["accuracy"] is None  # JSON knows no NaN


def test_the_diagram_is_a_picture() -> None:
    scores = drawn(500, 2.0)
    assert reliability_diagram(calibrate(scores, scores, "eval"), "test").png.startswith(b"\x89PNG")
    assert reliability_diagram(calibrate(scores, None, ""), "test").png.startswith(b"\x89PNG")
