"""Predictions for any number of inputs, in their order: windows of batches of like length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiexp.errors import AiexpError, ConfigError
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.prediction import Prediction
from aiexp.use.reading import Item

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

WINDOW_BATCHES = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one input.

    Args:
        name: Of the input.
        value: As it was given.
        result: The prediction, or why there is none.
    """

    name: str
    value: Any
    result: Prediction | AiexpError


def predictions(
    run: "LoadedRun", inputs: Inputs, items: Iterable[Item], *, batch_size: int
) -> Iterator[Answer]:
    """The answers to inputs, in their order.

    Args:
        run: Whose task answers.
        inputs: Of the task, its settings taken.
        items: Read while answers are made; so many batches at a time are held.
        batch_size: Inputs in a batch.

    Raises:
        ConfigError: `Task.predict` breaks its contract.
    """
    items = iter(items)
    size = batch_size * WINDOW_BATCHES
    while window := list(islice(items, size)):
        yield from _answers(run, inputs, window, batch_size)


def _answers(run: "LoadedRun", inputs: Inputs, window: list[Item], batch_size: int) -> list[Answer]:
    """The answers to the inputs of a window."""
    read = [row for row, item in enumerate(window) if not isinstance(item.value, AiexpError)]
    examples: dict[int, Any] = {row: item.value for row, item in enumerate(window)}
    examples |= zip(read, inputs.prepare([window[row].value for row in read]), strict=True)
    results: dict[int, Any] = {row: e for row, e in examples.items() if isinstance(e, AiexpError)}
    good = [row for row in examples if row not in results]
    good.sort(key=lambda row: -inputs.length(examples[row]))  # stable; the longest first
    for start in range(0, len(good), batch_size):
        rows = good[start : start + batch_size]
        results |= zip(rows, predict_batch(run, inputs, [examples[row] for row in rows]), strict=True)
    return [Answer(item.name, item.value, results[row]) for row, item in enumerate(window)]


def predict_batch(run: "LoadedRun", inputs: Inputs, examples: list[Any]) -> list[Prediction]:
    """The predictions for examples that are made ready, by one call of the task.

    Raises:
        ConfigError: it returned something else.
    """
    import torch

    from aiexp.task.contract import broken, misfits

    # Made outside of inference mode: a task that adapts to its inputs takes gradients.
    batch = run.task.to_device(inputs.collate(examples))
    with torch.inference_mode(), run.hardware.autocast(), misfits():
        made: Any = run.task.predict(batch)
    if not isinstance(made, list) or len(made) != len(examples):
        got = f"{len(made)} answers" if isinstance(made, list) else f"a {type(made).__name__}"
        what = f"returned {got} to {len(examples)} inputs"
        error: ConfigError = broken(run.task, "predict", what, fix="a Prediction for each input, in order")
        raise error
    return made
