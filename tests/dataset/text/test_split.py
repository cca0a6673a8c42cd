import logging

import numpy as np
import pytest

from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import (
    limited,
    normalised,
    split_as_needed,
    stratified,
    without_duplicates,
)
from aiexp.errors import ConfigError
from tests.dataset.conftest import make_examples


def examples(*pairs: tuple[str, int]) -> Examples:
    return Examples(texts=[t for t, _ in pairs], labels=np.array([n for _, n in pairs], np.int64))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Good,\tFILM!\n", "good film"),
        ("it's_fine", "it s fine"),
        ("Caf\u00e9 \u2014 na\u00efve", "caf\u00e9 na\u00efve"),
        ("\uff26ull", "full"),
        (":-)", ":-)"),
        (" :( ", ":("),
        ("", ""),
    ],
)
def test_normalised(text: str, expected: str) -> None:
    assert normalised(text) == expected


def test_duplicates_are_dropped_and_contradictions_with_them() -> None:
    given = examples(
        ("Good!", 1),
        ("bad", 0),
        ("good", 1),
        ("so so", 0),
        ("So, so.", 1),
        ("so so", 0),
        (":)", 1),
        (":(", 0),
    )
    kept, dropped = without_duplicates(given)
    assert kept.texts == ["Good!", "bad", ":)", ":("]
    assert kept.labels.tolist() == [1, 0, 1, 0]
    assert (dropped.repeated, dropped.conflicting) == (1, 3)


def test_shares_of_the_classes_are_exact() -> None:
    labels = np.array([0] * 700 + [1] * 250 + [2] * 50)
    given = Examples(texts=[f"text {i}" for i in range(1000)], labels=labels)
    parts = stratified(given, {"eval": 0.1, "test": 0.2})
    counts = {name: np.bincount(part.labels).tolist() for name, part in parts.items()}
    assert counts == {"train": [490, 175, 35], "eval": [70, 25, 5], "test": [140, 50, 10]}
    assert sorted(t for part in parts.values() for t in part.texts) == sorted(given.texts)


def test_an_example_stays_in_its_split_whatever_the_order_of_rows() -> None:
    given = make_examples(300)
    order = np.random.default_rng(5).permutation(300)
    fractions = {"eval": 0.1, "test": 0.1}
    first, second = stratified(given, fractions), stratified(given.at(order), fractions)
    assert {n: set(p.texts) for n, p in first.items()} == {n: set(p.texts) for n, p in second.items()}
    # Known members: a change of the hash or of the normalisation would move every published result.
    known = stratified(
        Examples(texts=[f"Text, {i}!" for i in range(20)], labels=np.arange(20) % 2), fractions
    )
    assert known["eval"].texts == ["Text, 12!", "Text, 19!"]
    assert known["test"].texts == ["Text, 6!", "Text, 13!"]


def test_small_classes_still_reach_every_split() -> None:
    parts = stratified(make_examples(8), {"eval": 0.1, "test": 0.1})
    assert {name: len(set(part.labels.tolist())) for name, part in parts.items()} == {
        "train": 2,
        "eval": 2,
        "test": 2,
    }


def test_fractions_must_leave_something() -> None:
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        stratified(make_examples(8), {"eval": 0.5, "test": 0.5})


def test_limit_is_the_same_examples_each_time_and_grows() -> None:
    given = make_examples(100, classes=4)
    ten, twenty = limited(given, 10), limited(given, 20)
    assert set(ten.texts) < set(twenty.texts)
    assert np.bincount(twenty.labels).tolist() == [5, 5, 5, 5]
    assert limited(given, None) is given


def test_given_splits_stay_and_overlap_is_told(caplog: pytest.LogCaptureFixture) -> None:
    train = examples(("a b", 0), ("A, b", 0), ("c", 1), *((f"word {i}", i % 2) for i in range(40)))
    test = examples(("c!", 1), ("d", 0))
    with caplog.at_level(logging.WARNING):
        parts = split_as_needed({"train": train, "test": test}, {"eval": 0.1, "test": 0.1}, "mine.csv")
    assert parts["test"] is test
    assert len(parts["train"]) + len(parts["eval"]) == 42
    assert not {normalised(t) for t in parts["train"].texts} & {normalised(t) for t in parts["eval"].texts}
    assert "left out 1 repeated texts and 0" in caplog.text
    assert ("1 texts of split test also occur" in caplog.text) == ("c" in parts["train"].texts)
    whole = split_as_needed({"train": train}, {"eval": 0.0, "test": 0.0}, "mine.csv")
    assert whole == {"train": train}
