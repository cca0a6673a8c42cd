"""The order of an epoch: a permutation of any size, computed in parts, without a trace of order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aiexp.dataset import order
from aiexp.dataset.draws import shuffled
from aiexp.dataset.order import Order


@pytest.fixture
def _computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every order is that of many rows."""
    monkeypatch.setattr(order, "MOST_SHUFFLED", 0)


def whole(count: int, seed: int = 1, epoch: int = 0) -> NDArray[np.int64]:
    return Order(count, seed, epoch).between(0, count)


def test_few_rows_are_shuffled_as_a_whole() -> None:
    np.testing.assert_array_equal(Order(1000, 3, 2).between(10, 20), shuffled(1000, 3, 2)[10:20])


@pytest.mark.usefixtures("_computed")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 17, 1000, 4096, 4097, 65_537, 300_001])
def test_every_row_comes_once(count: int) -> None:
    np.testing.assert_array_equal(np.sort(whole(count)), np.arange(count))


@pytest.mark.usefixtures("_computed")
def test_parts_are_parts_of_the_whole_in_any_order() -> None:
    rows, parts = whole(10_000), Order(10_000, 1, 0)
    for start, stop in ((9_990, 10_100), (0, 1), (4090, 4100), (0, 10_000), (4095, 8193)):
        np.testing.assert_array_equal(parts.between(start, stop), rows[start:stop])


@pytest.mark.usefixtures("_computed")
def test_it_stays_the_same_on_every_machine() -> None:
    assert whole(1_000_003)[:5].tolist() == [853037, 640308, 496197, 399537, 640701]


@pytest.mark.usefixtures("_computed")
def test_no_trace_of_order_is_left() -> None:
    count = 300_001
    rows, other_epoch, other_seed = whole(count), whole(count, epoch=1), whole(count, seed=2)
    limit = 5 / count**0.5  # five standard deviations
    for one, two in (
        (rows[:-1], rows[1:]),
        (rows, np.arange(count)),
        (rows, other_epoch),
        (rows, other_seed),
    ):
        assert abs(np.corrcoef(one, two)[0, 1]) < limit
    distances = np.abs(np.diff(rows)) / count
    assert distances.mean() == pytest.approx(1 / 3, abs=0.003)
    assert int((rows == np.arange(count)).sum()) < 8  # a Poisson number of mean 1


@pytest.mark.usefixtures("_computed")
def test_first_places_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_BLOCK", 1)
    firsts = [int(Order(100, seed, epoch).between(0, 1)[0]) for seed in range(20) for epoch in range(100)]
    counts = np.bincount(firsts, minlength=100)
    assert ((counts - 20) ** 2 / 20).sum() < 160  # chi-square of 99 degrees: 99 +- 14; 1 in 10,000 is above
