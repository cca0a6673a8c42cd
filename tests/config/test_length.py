"""A run's length, which is said once."""

import pytest

from aiexp.config.compose import compose
from aiexp.errors import ConfigError

BOTH = "'trainer' has steps=60 and epochs=5: one of them is the length"


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (
            ["trainer.steps=60"],
            BOTH,
            "trainer.epochs=null to count steps, trainer.steps=null to count epochs",
        ),
        (["trainer.epochs=null"], "'trainer' has neither steps nor epochs", "trainer.steps=100"),
        (["trainer.steps=many"], "'many'", ""),  # and nothing of the length
    ],
)
def test_both_and_neither_are_known_at_once(words: list[str], what: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["task=mnist_cnn", *words])
    assert what in caught.value.what
    assert caught.value.fix.startswith(fix)
    assert len(caught.value.lines()) == 1


def test_one_is_enough_and_the_fix_is_one() -> None:
    for words in ([], ["trainer.epochs=2"], ["trainer.steps=60", "trainer.epochs=null"]):
        composed = compose(["task=mnist_cnn", *words])
        assert (composed.config.trainer.steps is None) != (composed.config.trainer.epochs is None)
