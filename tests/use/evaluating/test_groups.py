"""Groups: the values of scikit-learn and fairlearn, intervals that hold, columns of every kind."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from aiexp.errors import ConfigError, DataError, HardwareError
from aiexp.use.evaluating.groups import CLASS, MISSING, Groups, by_groups, grouped, read_keys
from aiexp.use.evaluating.measure import ACCURACY, F1, MACRO_F1, count, interval_of, resample
from aiexp.use.evaluating.resampling import gain_interval, wilson
from aiexp.use.evaluating.scores import Scores

pytest.importorskip("fairlearn")


class TableData:
    def __init__(self, cells: list[Any]) -> None:
        self.cells = cells

    def column(self, split: str, name: str) -> list[Any]:
        if name != "city":
            raise DataError(f"there is no column '{name}'")
        return self.cells


def scores_of(true: NDArray[np.int64], predicted: NDArray[np.int64], names: list[str]) -> Scores:
    return Scores(
        name="run", class_names=names, logits=np.eye(len(names))[predicted], labels=true,
        places=np.arange(len(true)), examples="",
    )  # fmt: skip


def judged(num_classes: int, cells: list[Any], by: str = "city") -> tuple[Scores, Groups]:
    random = np.random.default_rng(0)
    true = random.integers(0, num_classes, len(cells))
    predicted = np.where(random.random(len(cells)) < 0.7, true, random.integers(0, num_classes, len(cells)))
    scores = scores_of(true, predicted, [f"class {i}" for i in range(num_classes)])
    return scores, by_groups(scores, read_keys(TableData(cells), "test", by))


def test_two_classes_have_the_values_of_fairlearn() -> None:
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate

    cells = ["north", "south", "north", "east"] * 50
    scores, groups = judged(2, cells)
    metrics: Any = {
        "accuracy": lambda t, p: float((t == p).mean()),
        "f1": f1_score,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
    }
    frame: Any = MetricFrame(
        metrics=metrics, y_true=scores.labels, y_pred=scores.predicted, sensitive_features=cells
    )
    assert [(g.name, g.count) for g in groups.groups] == [("east", 50), ("north", 100), ("south", 50)]
    assert groups.positive == "class 1"
    for group in groups.groups:
        assert group.values == pytest.approx(dict(frame.by_group.loc[group.name]))
    for name, spread in groups.spreads.items():
        assert spread.difference == pytest.approx(frame.difference()[name])
        assert spread.ratio == pytest.approx(frame.ratio()[name])
        assert spread.overall == pytest.approx(frame.overall[name])
        assert spread.interval is not None
        assert spread.interval[0] <= spread.interval[1]


def test_more_classes_have_scikit_learns_macro_f1() -> None:
    cells = ["a"] * 60 + ["b"] * 5
    scores, groups = judged(4, cells)
    for group in groups.groups:
        rows = np.array(cells) == group.name
        expected = f1_score(scores.labels[rows], scores.predicted[rows], average="macro")
        assert group.values["macro_f1"] == pytest.approx(expected)
    assert groups.smallest.name == "b"
    assert groups.numbers()["smallest"] == "b"


def test_by_class_a_group_is_a_true_class() -> None:
    scores, groups = judged(3, ["x"] * 90, CLASS)
    assert [g.name for g in groups.groups] == ["class 0", "class 1", "class 2"]
    for number, group in enumerate(groups.groups):
        assert group.values == {"accuracy": pytest.approx(scores.hits[scores.labels == number].mean())}


def test_a_rate_of_nothing_is_no_number() -> None:
    true, predicted = np.array([1, 1, 0, 1]), np.array([1, 0, 0, 1])
    keys = read_keys(TableData(["a", "a", "b", "b"]), "test", "city")
    groups = by_groups(scores_of(true, predicted, ["no", "yes"]), keys)
    assert np.isnan(groups.groups[0].values["false_positive_rate"])
    assert groups.groups[0].intervals["false_positive_rate"] is None
    assert groups.numbers()["groups"][0]["values"]["false_positive_rate"] is None


def test_resampled_counts_are_those_of_resampled_examples() -> None:
    random = np.random.default_rng(1)
    true = random.integers(0, 3, 300)
    predicted = np.where(random.random(300) < 0.8, true, random.integers(0, 3, 300))
    drawn = resample(true, predicted, 3, random)
    assert drawn.true.sum(1).tolist() == [300.0] * len(drawn.true)
    slow = []
    for _ in range(1000):
        rows = random.integers(0, 300, 300)
        slow.append(float(MACRO_F1(count(true[rows], predicted[rows], 3))))
    low, high = interval_of(MACRO_F1, count(true, predicted, 3), drawn) or (0, 0)
    assert (low, high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.01)


def test_a_share_has_wilsons_interval_even_where_all_are_right() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    right = np.ones(10, np.int64)
    drawn = resample(right, right, 2, np.random.default_rng(0))
    low, high = interval_of(ACCURACY, count(right, right, 2), drawn) or (0, 0)
    assert (low, high) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert interval_of(F1, count(right, right, 2), drawn) == (1.0, 1.0)


def test_the_gain_has_the_interval_of_the_paired_bootstrap() -> None:
    random = np.random.default_rng(2)
    one, other = random.random(400) < 0.8, random.random(400) < 0.75
    rows = random.integers(0, 400, (2000, 400))
    slow = np.quantile(one[rows].mean(1) - other[rows].mean(1), [0.025, 0.975])
    assert gain_interval(one, other) == pytest.approx(slow, abs=0.01)
    assert gain_interval(one, one) == (0.0, 0.0)


def test_cells_become_groups_in_their_order() -> None:
    assert grouped(["b", None, "a ", "", float("nan")], "x") == (
        ["b", MISSING, "a", MISSING, MISSING],
        ["a", "b", MISSING],
    )
    assert grouped([10, 9, 9], "x")[1] == ["9", "10"]


def test_many_numbers_become_quarters_that_hold_all_of_them() -> None:
    keys, order = grouped([*map(str, range(20, 60)), ""], "age")
    assert order == ["20 to 29", "30 to 39", "40 to 49", "50 to 59", MISSING]
    assert [keys.count(name) for name in order] == [10, 10, 10, 10, 1]


def test_a_column_of_names_that_are_all_different_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 60 different values"):
        grouped([f"user {i}" for i in range(60)], "name")


@pytest.mark.parametrize(("data", "what"), [(TableData([]), "no column 'age'"), (object(), "no table")])
def test_an_unknown_column_is_one_line(data: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        read_keys(data, "test", "age")
    assert caught.value.where.startswith("--by")


def test_without_fairlearn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fairlearn", None)
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(HardwareError, match="not installed") as caught:
        read_keys(TableData([]), "test", CLASS)
    assert "pip install 'aiexp[evaluate]'" in caught.value.fix
