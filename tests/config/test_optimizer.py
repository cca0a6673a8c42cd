"""Numbers that torch's optimizers refuse are refused when composing; torch agrees on each."""

from typing import Any

import pytest
import torch

from aiexp.config.compose import compose
from aiexp.config.target.optimizer import AT_LEAST_0, check_optimizer
from aiexp.errors import AiexpError

CLASSES = ["ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD"]


def taken(name: str) -> list[str]:
    names = getattr(torch.optim, name).__init__.__code__.co_varnames
    return [argument for argument in [*AT_LEAST_0, "betas"] if argument in names]


@pytest.mark.parametrize(("name", "argument"), [(name, one) for name in CLASSES for one in taken(name)])
def test_what_is_refused_here_torch_refuses_too(name: str, argument: str) -> None:
    optimizer: Any = getattr(torch.optim, name)
    value: Any = [0.9, 1.0] if argument == "betas" else -0.1
    parameter = [torch.nn.Parameter(torch.zeros(2))]
    assert check_optimizer({"_target_": f"torch.optim.{name}", argument: value}, "o")
    with pytest.raises(ValueError, match=r"[Ii]nvalid"):
        optimizer(parameter, **({"lr": 0.1} | {argument: tuple(value) if argument == "betas" else value}))


def test_numbers_that_torch_takes_are_none_of_our_business() -> None:
    for name in CLASSES:
        assert check_optimizer({"_target_": f"torch.optim.{name}", "lr": 0.0, "betas": [0.0, 0.9]}, "o") == []
    assert check_optimizer({"_target_": "my_lab.Optimizer", "lr": -1}, "o") == []


def test_a_negative_rate_is_said_with_its_word() -> None:
    with pytest.raises(AiexpError, match=r"'task\.optimizer\.lr' is -1, not a number >= 0") as caught:
        compose(["task=mnist_cnn", "task.optimizer.lr=-1"])
    assert caught.value.where == "command line: task.optimizer.lr=-1"
