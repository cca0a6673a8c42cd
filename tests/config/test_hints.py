"""No hint leads nowhere: what an error says to type is typed, and accepted."""

import re
import shlex

import pytest

from aiexp import cli
from aiexp.command.run import INSTEAD
from aiexp.config.compose import compose
from aiexp.config.misspelled import ELSEWHERE
from aiexp.errors import AiexpError, ConfigErrors

# What is typed, beside task=mnist_cnn.
SLIPS = [
    ["task=mnist_cn"], ["modle=mlp"], ["model=mpl"], ["dataset=mnsit"], ["trainer.epoch=2"], ["epochs=2"],
    ["lr=0.1"], ["batch_size=8"], ["task.optimizer=sgd"], ["trainer.schedule=cosine"], ["optimizer=sdg"],
    ["average=emma"], ["schedule=cosin"], ["trainer.epochs==2"],
    ["task", "=", "mnist_cnn"], ["trainer.epochs", "=2"],
    ["mnist_cnn"], ["tracker.name=a,b"], ["+trainer.epochs=3"], ["hardware.precision=bf61"],
    ["task.optimizer._target_=torch.optim.AdamWW"], ["trainer.evaluate_every=epochs"],
    ["task.normalization=imagnet"],
    ["seed=0,", "1"],
]  # fmt: skip
VALUES = {"N": "2", "RATE": "0.1", "NORM": "1.0", "NAME": "cosine", "FOLDER": "elsewhere"}


def problems(words: list[str]) -> list[AiexpError]:
    with pytest.raises(AiexpError) as caught:
        compose(words)
    error = caught.value
    return list(error.errors) if isinstance(error, ConfigErrors) else [error]


def hinted(error: AiexpError, words: list[str]) -> list[list[str]]:
    """Command lines that an error tells one to type instead."""
    lines: list[list[str]] = []
    for name in re.findall(r"Did you mean '([^']+)'", f"{error.what} {error.fix}"):
        word = error.where.removeprefix("command line: ")
        key, equals, value = word.partition("=")
        better = [f"{key}={name}", f"{name}={value}" if equals else name]
        lines += [[*(w for w in words if w != word), one] for one in better]
    fix = error.fix
    for text in re.findall(r"type ((?:\w|[.+~])+=\S*)|('[^']+=[^']*')", fix):
        typed = shlex.split("".join(text).rstrip(";"))
        parts = error.where.removeprefix("command line: ").split()
        lines.append([*(w for w in words if w not in parts), *typed])
    return lines


def is_accepted(words: list[str]) -> bool:
    words = [re.sub(r"=OPTION$", "=mnist_cnn", word) for word in words if word != "-m"]
    try:
        compose([word.split(",")[0] if word.startswith("seed=") else word for word in words])
    except AiexpError:
        return False
    return True


@pytest.mark.parametrize("slip", SLIPS, ids=" ".join)
def test_what_a_hint_says_is_accepted(slip: list[str]) -> None:
    words = ["task=mnist_cnn", *slip] if slip[0].partition("=")[0] != "task" else slip
    errors = problems(words)
    lines = [line for error in errors for line in hinted(error, words)]
    lists = [error.see for error in errors if error.see]
    assert lines or lists, [error.line() for error in errors]
    assert not lines or any(is_accepted(line) for line in lines), lines
    for command in lists:
        assert cli.main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("hint", sorted(set(ELSEWHERE.values())))
def test_keys_of_other_programs_lead_to_ours(hint: str) -> None:
    for alternative in hint.split(" or "):
        words = alternative.split()
        typed = [
            f"{key}={VALUES.get(value, value)}" for key, _, value in (word.partition("=") for word in words)
        ]
        typed = [word.replace("tracker=cosine", "tracker=none") for word in typed]
        if typed == ["hardware=gpu"]:
            typed = ["hardware=gpu", "hardware.device=gpu"]
        compose(["task=mnist_cnn", *typed])


def test_flags_of_other_programs_lead_to_ours() -> None:
    assert cli.main(["run", "--task", "mnist_cnn"]) == 2
    for text in INSTEAD.values():
        for command in re.findall(r"use aiexp (\w+)", text):
            assert cli.main([command, "--help"]) == 0
