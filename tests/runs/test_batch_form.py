"""What a batch holds, without training and without fetching."""

from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import AiexpError
from aiexp.runs.batch_form import batch_form, form_of
from tests.dataset.test_torch_dataset import make
from tests.task.images import stripes


def rows(form: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(entry.key, entry.dtype, entry.shape) for entry in form.entries]


def test_arrays_and_pictures() -> None:
    assert rows(batch_form("digits")) == [
        ("x", "float32", ("B", "64")), ("labels", "int64", ("B",)), ("index", "int64", ("B",)),
        ("seeds", "int64", ("B",)),
    ]  # fmt: skip
    pictures = form_of(stripes())
    assert rows(pictures)[0] == ("images", "uint8", ("B", "1", "20", "20"))
    assert [entry.key for entry in pictures.entries if not entry.is_everywhere] == ["seeds"]
    assert pictures.lines()[-1] == "train 48, eval 15, test 15"


def test_nested_batches_and_sizes_that_change() -> None:
    assert rows(form_of(make(collate=lambda examples: (examples, {"n": 3}), names=None)))[-1] == (
        "1.n",
        "int",
        (),
    )


def test_environments_say_what_is_seen() -> None:
    form = batch_form("cartpole")
    assert form.entries == []
    assert form.lines()[0] == "train 8 environments, eval 20 episodes, test 100 episodes"
    assert form.note.startswith(
        "a task acts and makes its own batches: observations (1, 4) float32, Discrete(2)"
    )


def test_small_tasks_are_no_examples() -> None:
    assert "eval 600 tasks, test 600 tasks" in batch_form("sinusoids").lines()[-1]


def test_what_is_not_fetched_is_said_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    form = batch_form("fashion_mnist")
    assert form.note == "not fetched yet, so nobody has looked: aiexp data fetch fashion_mnist"
    assert not list(tmp_path.rglob("*ubyte*"))


def test_what_is_missing_is_named() -> None:
    with pytest.raises(AiexpError, match=r"dataset\.train_folder"):
        batch_form("image_folder")
    with pytest.raises(AiexpError, match="Did you mean 'digits'"):
        batch_form("digit")
