"""Settings of the kinds of inputs that there are: by value, never a path of the server."""

import json
from typing import Any

import pytest

from aiexp.prediction.inputs import Inputs
from aiexp.prediction.pictures import TranslatedPictures
from aiexp.prediction.seeds import Seeds
from aiexp.prediction.support import SupportedNumbers, SupportedPictures
from aiexp.use.serving.question import Question, question_of
from aiexp.use.serving.refusal import Refusal
from tests.use.serving.stubs import b64, png

PICTURE = b64(png(7))


def asked(inputs: Inputs, value: Any, **settings: Any) -> Question:
    return question_of(json.dumps({"inputs": [value], "settings": settings}).encode(), inputs, 5)


@pytest.mark.parametrize(
    ("inputs", "value", "settings"),
    [
        (TranslatedPictures(8, 1), PICTURE, {"direction": "b_to_a"}),
        (SupportedPictures(8, 1, None), PICTURE, {"support": {"cat": [PICTURE], "dog": [PICTURE, PICTURE]}}),
        (SupportedNumbers(), 0.5, {"support": [[0, 1], [1.5, -2]]}),
    ],
)
def test_every_setting_comes_by_value(inputs: Inputs, value: Any, settings: dict[str, Any]) -> None:
    question = asked(inputs, value, **settings)
    assert settings.keys() <= set(inputs.options)
    inputs.configure(**question.settings)
    (example,) = inputs.prepare(question.values)
    assert inputs.collate([example])


@pytest.mark.parametrize(
    ("inputs", "settings", "detail"),
    [
        (TranslatedPictures(8, 1), {"direction": "up"}, "settings.direction: this is none of a_to_b, b_to_a"),
        (TranslatedPictures(8, 1), {"direction": ["a_to_b"]}, "settings.direction: this is none of"),
        (
            SupportedPictures(8, 1, None),
            {"support": "/etc"},
            "settings.support: this is a str, and an object",
        ),
        (SupportedPictures(8, 1, None), {"support": {"a": ["/etc/passwd"]}}, "support: this is no base64"),
        (SupportedPictures(8, 1, None), {"support": {"a": PICTURE}}, "support: this is a str, and an array"),
        (SupportedNumbers(), {"support": "/etc/passwd"}, "settings.support: this is a str, and an array"),
        (SupportedNumbers(), {"support": [["1"]]}, "settings.support: this has 1 items, and 2 are wanted"),
        (Seeds(1), {"count": 10**9}, "there is no setting 'count' here: there are none"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(inputs: Inputs, settings: dict[str, Any], detail: str) -> None:
    with pytest.raises(Refusal, match=detail):
        asked(inputs, PICTURE if "encod" in repr(inputs.schema).lower() else 1, **settings)


def test_equal_settings_have_one_key() -> None:
    inputs = TranslatedPictures(8, 1)
    keys = [asked(inputs, PICTURE, direction=way).key for way in ("a_to_b", "b_to_a", "a_to_b")]
    assert keys[0] == keys[2] != keys[1]
    assert asked(inputs, PICTURE).key == ""
