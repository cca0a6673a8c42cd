"""What is added adds up: exactly where the answer is known, and closely where it is not."""

import sys

import pytest
import torch
from torch import Tensor, nn

from aiexp.errors import HardwareError
from aiexp.use.explaining.gradients import FIRST_STEPS, MOST_STEPS, gradient, integrated_gradients


def test_of_a_linear_model_they_are_weight_times_difference() -> None:
    torch.manual_seed(0)
    model = nn.Linear(20, 1)
    example, baseline = torch.randn(1, 20), torch.randn(1, 20)
    made = integrated_gradients(lambda x: model(x)[:, 0], example, baseline)
    assert torch.allclose(made.values, (model.weight * (example - baseline))[0], atol=1e-6)
    assert made.steps == FIRST_STEPS
    assert made.relative_error < 1e-5
    assert torch.equal(gradient(lambda x: model(x)[:, 0], example), model.weight[0].detach())


def test_steps_are_doubled_until_they_add_up() -> None:
    def kinked(x: Tensor) -> Tensor:
        return (40 * (x - 0.437)).relu().sum(1) - (30 * (x - 0.802)).relu().sum(1)

    made = integrated_gradients(kinked, torch.ones(1, 3), torch.zeros(1, 3))
    assert FIRST_STEPS < made.steps <= MOST_STEPS
    assert made.is_good


def test_what_never_adds_up_is_said() -> None:
    made = integrated_gradients(
        lambda x: x.detach().sign().sum(1) + 0 * x.sum(1), torch.ones(1, 2), -torch.ones(1, 2)
    )
    assert made.error == pytest.approx(4.0)
    assert made.relative_error == pytest.approx(1.0)
    assert "completeness error 4 (1e+02 % of the difference +4)" in made.line()


def test_inputs_that_differ_in_nothing_have_no_error() -> None:
    made = integrated_gradients(lambda x: x.square().sum(1), torch.ones(1, 2), torch.ones(1, 2))
    assert (made.error, made.relative_error) == (0.0, 0.0)


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(HardwareError, match=r"need captum.*pip install 'aiexp\[explain\]'"):
        integrated_gradients(lambda x: x.sum(1), torch.ones(1, 2), torch.zeros(1, 2))
