"""The running best of the monitored metric."""

import math

from aiexp.tracker.best import Best


def test_best_follows_the_mode_and_ignores_nan() -> None:
    values = [math.nan, 2.0, 1.0, 3.0, 3.0, math.nan]
    for mode, expected in (("max", [2.0, 3.0]), ("min", [2.0, 1.0])):
        best = Best(monitor="eval/loss", mode=mode)
        assert [best.value for value in values if best.update({"eval/loss": value})] == expected


def test_nothing_is_monitored() -> None:
    best = Best(monitor=None, mode="max")
    assert not best.update({"eval/loss": 1.0})
    assert not Best(monitor="eval/accuracy", mode="max").update({"eval/loss": 1.0})
