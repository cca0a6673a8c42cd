"""Values that fit each by itself and not together are said before anything is imported."""

from pathlib import Path
from typing import Any

import pytest

from aiexp.config.compose import compose
from aiexp.config.target.arguments import check_values
from aiexp.errors import AiexpError
from tests.lab import Lab, make_lab

STREAM = ["task=bert_finetune", "dataset=hub", "dataset.name=x", "dataset.streaming=true"]
STEPS = ["trainer.epochs=null", "trainer.steps=9", "trainer.evaluate_every=3", "trainer.checkpoint.every=3"]


def lines(*words: str) -> list[str]:
    try:
        compose(list(words))
    except AiexpError as error:
        return error.lines()
    return []


def test_a_stream_needs_lengths_in_steps_and_named_splits() -> None:
    found = lines(*STREAM)
    fixes = [line.rpartition("fix: ")[2] for line in found]
    assert fixes == [
        "dataset.eval_split=<text>",
        "trainer.steps=<a whole number>",
        "trainer.epochs=null",
        "trainer.evaluate_every=<a whole number>",
        "trainer.checkpoint.every=<a whole number>",
    ]
    assert "'trainer.epochs' is 3, which does not go with dataset.streaming=true" in found[2]
    assert "finetune.yaml: trainer.epochs" in found[2]
    assert lines(*STREAM, *STEPS, "dataset.eval_split=test") == []
    assert lines(*STREAM[:-1]) == []


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("dataset.limit=50", "dataset.limit=null"),
        ("dataset.num_workers=2", "dataset.num_workers=0"),
        ("dataset.test_split=null", "dataset.test_split=<text>"),
        ("task.class_weights=balanced", "task.class_weights=<a list or null>"),
    ],
)
def test_what_a_stream_cannot_have(word: str, fix: str) -> None:
    (line,) = lines(*STREAM, *STEPS, "dataset.eval_split=test", word)
    assert line.endswith(f"command line: {word} | fix: {fix}")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = make_lab(tmp_path, monkeypatch)
    lab.write(
        "my_lab/parts.py",
        """
from typing import Annotated, Any
from aiexp import ranges

class Part:
    def __init__(self, *, fast: Annotated[bool, ranges.Requires({"size": "int", "Other.rate": "float"})],
                 size: int | None, inner: Any) -> None:
        pass

class Other:
    def __init__(self, *, rate: float | None) -> None:
        pass
""",
    )
    return lab


def test_a_user_s_own_argument_may_require_others(lab: Lab) -> None:
    other = {"_target_": "my_lab.parts.Other", "rate": None}

    def found(**changes: Any) -> list[str]:
        part = {"_target_": "my_lab.parts.Part", "fast": True, "size": None, "inner": other, **changes}
        problems = check_values({"mine": part, "seed": 0, "outputs": "o"}, ["mine"])
        return [p.key for p in problems if p.key.startswith("mine")]

    assert found() == ["mine.size", "mine.inner.rate"]
    assert found(size=3) == ["mine.inner.rate"]
    assert found(fast=False) == []
    assert found(size=3, inner=None) == []
