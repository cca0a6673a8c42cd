"""Schedules as factors on the learning rate; see also tests/trainer/test_trainer.py."""

import pytest

from aiexp.trainer.schedule import MultiStep


def test_milestones_lower_the_rate() -> None:
    schedule = MultiStep(milestones=[0.5, 75], gamma=0.1, warmup=10)
    factors = [schedule.factor(step, 100) for step in (5, 10, 50, 51, 75, 76, 100)]
    assert factors == pytest.approx([0.5, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert MultiStep(milestones=[], gamma=0.1, warmup=0).factor(1, 10) == 1
