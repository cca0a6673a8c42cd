"""What a run remembers of its data set, and a data set made of nothing else.

A task takes names of classes, sizes of images and the like from its data set. Those are written down with the
run, so that a trained task is built again where its examples are not.
"""

import json
from functools import partial
from typing import Any, cast, final

import numpy as np

from aiexp.errors import AiexpError, DataError

LARGEST = 1_000_000  # characters of JSON
# Questions without arguments whose answers are remembered.
QUESTIONS = ("batches_per_epoch", "class_counts")


@final
class Recalled:
    """A data set without examples.

    Args:
        remembered: What `remember` returned of the real one.
        lent: A data set with examples that the task makes ready: it is asked what is not remembered.
    """

    def __init__(self, remembered: dict[str, Any], lent: Any = None) -> None:
        self._lent = lent
        self._answers: dict[str, Any] = remembered.get("answers") or {}
        self._methods: list[str] = remembered.get("methods") or []
        self._examples: dict[str, Any] = remembered.get("examples") or {}
        for name, value in (remembered.get("attributes") or {}).items():
            if name.isidentifier() and not name.startswith("_"):
                setattr(self, name, value)

    def num_examples(self, split: str) -> int | None:
        """Examples that the real one had in `split`."""
        return self._examples.get(split)

    def tokenize(self, *args: Any, **kwargs: Any) -> None:
        """There is nothing to tokenize, but what is lent."""
        if hasattr(self._lent, "tokenize"):
            self._lent.tokenize(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._answers:
            answer = self._answers[name]
            value: Any = np.array(answer) if isinstance(answer, list) else answer
            return partial(_same, value)
        if name in self._methods:
            return getattr(self._lent, name, partial(_refuse, name))
        raise AttributeError(f"the data set of this run has no '{name}', or none that could be written down")


def _same(value: Any) -> Any:
    return value


def _refuse(name: str, *_: Any, **__: Any) -> Any:
    raise MissingExamplesError(
        f"the task asks its data set for {name}, and a trained task is built without examples",
        where=f"dataset.{name}", fix="skip that where is_recalled(dataset) (aiexp.dataset.recalled)",
    )  # fmt: skip


class MissingExamplesError(DataError):
    """A task cannot be built without the examples it was trained on."""


def is_recalled(dataset: Any) -> bool:
    """Whether a data set has no examples, since the task is built to be used, not to be trained."""
    return isinstance(dataset, Recalled)


def remember(dataset: Any) -> dict[str, Any]:
    """What can be written down of a data set: its plain attributes, sizes, and the names of its methods.

    One that reads no files says so by `is_generated = True`: it is built again instead.
    """
    if getattr(dataset, "is_generated", False):
        return {"generated": True}
    attributes: dict[str, Any] = {}
    methods: list[str] = []
    for name in dir(dataset):
        if name.startswith("_") or name in QUESTIONS:
            continue
        try:
            value = getattr(dataset, name)
        except Exception:  # a property of the user's own that cannot be asked now
            continue
        if callable(value):
            methods.append(name)
        elif (plain := _plain(value)) is not None:
            attributes[name] = plain
    answers = {name: _answer(dataset, name) for name in QUESTIONS}
    examples = {split: dataset.num_examples(split) for split in ("train", "eval", "test")}
    return {
        "attributes": attributes,
        "methods": methods,
        "answers": {name: value for name, value in answers.items() if value is not None},
        "examples": examples,
    }


def _answer(dataset: Any, name: str) -> Any:
    """What a data set answers to a question without arguments; None if nothing."""
    try:
        return _plain(getattr(dataset, name)())
    except (AiexpError, AttributeError, TypeError):
        return None


def _plain(value: Any) -> Any:
    """A value as JSON values; None if it is none, or too large to be remembered."""
    if isinstance(value, np.ndarray | np.generic):
        if value.size > LARGEST:
            return None
        value = cast(Any, value).tolist()
    if isinstance(value, tuple):
        value = list(cast(tuple[Any, ...], value))
    try:
        return value if len(json.dumps(value, allow_nan=False)) <= LARGEST else None
    except (TypeError, ValueError, RecursionError):
        return None
