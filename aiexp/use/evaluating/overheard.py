"""One pass through a split: a task evaluates itself, and what a classifier answers meanwhile is kept."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast, final

import torch
from torch import Tensor

from aiexp.task.report import Evaluation
from aiexp.trainer.evaluation import evaluate
from aiexp.use.evaluating.candidate import Candidate
from aiexp.use.evaluating.progress import counted
from aiexp.use.evaluating.scores import Answer, Scores, is_classifier, score, scores_of
from aiexp.use.progress import Progress


def evaluate_once(candidate: Candidate, split: str, progress: Progress) -> tuple[Evaluation, Scores | None]:
    """The task's own evaluation of a split, and the answers of a classifier to every example.

    The answers are those that the evaluation has asked for, where it asks `logits` once for each batch as it
    is; otherwise the task is asked again.

    Args:
        candidate: The task with its data.
        split: Of the data.
        progress: Hears how far it is.

    Raises:
        ConfigError: the task or the data break their contract.
    """
    heard = Overheard(candidate, split, progress)
    with heard.listening():
        evaluation = evaluate(candidate.task, cast(Any, heard), split, candidate.run.hardware, report=True)
    if not is_classifier(candidate.task):
        return evaluation, None
    return evaluation, heard.scores() or score(candidate, split, progress)


@final
class Overheard:
    """The data set of a candidate, with an ear at what the task makes of its batches.

    Args:
        candidate: The task with its data.
        split: Whose batches count.
        progress: Hears how far it is.
    """

    def __init__(self, candidate: Candidate, split: str, progress: Progress) -> None:
        self._candidate, self._split, self._progress = candidate, split, progress
        self._dataset = candidate.dataset
        self._batch: Any = None
        self._answers: list[Answer | None] = []  # to each batch so far

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def eval_batches(self, split: str) -> Iterator[Any]:
        """Those of the data set."""
        if split != self._split:
            yield from self._dataset.eval_batches(split)
            return
        self._answers.clear()
        for batch in counted(self._dataset, split, self._progress):
            self._batch = batch
            self._answers.append(None)
            yield batch
        self._batch = None

    @contextmanager
    def listening(self) -> Generator[None]:
        """A body in which the logits of the task are heard."""
        task: Any = self._candidate.task
        ask = task.logits

        def logits(batch: Any) -> Any:
            made = ask(batch)
            self.hear(batch, made)
            return made

        task.logits = logits
        try:
            yield
        finally:
            del task.logits

    def hear(self, asked: Any, made: Any) -> None:
        """Keeps the first answer to the batch that the task has in hand."""
        batch = self._batch
        is_new = isinstance(batch, dict) and "labels" in batch and self._answers[-1] is None
        if is_new and isinstance(made, Tensor) and made.ndim == 2 and is_of(asked, cast(Any, batch)):
            labels: Tensor = cast(Any, batch)["labels"]
            if len(labels) == len(made):
                self._answers[-1] = Answer(made.cpu(), labels, cast(Any, batch).get("index"))

    def scores(self) -> Scores | None:
        """All answers; None if one is missing."""
        answers = [answer for answer in self._answers if answer is not None]
        if not answers or len(answers) < len(self._answers):
            return None
        return scores_of(self._candidate, self._split, answers)


def is_of(asked: Any, batch: Mapping[str, Any]) -> bool:
    """Whether a task was asked about a batch as it is: parts of it, on whatever device."""
    return isinstance(asked, Mapping) and all(
        name in batch and is_same(value, batch[name])
        for name, value in cast(Mapping[str, Any], asked).items()
    )


def is_same(value: Any, other: Any) -> bool:
    """Whether two values are the same; tensors bit for bit."""
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return value is other or torch.equal(value, other.to(value.device))
    return value is other
