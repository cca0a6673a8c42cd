"""What classifiers say of each example of a split: one alone, or several together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.errors import ConfigError
from aiexp.task.base import Task
from aiexp.task.contract import broken, misfits
from aiexp.use.evaluating.candidate import Candidate
from aiexp.use.evaluating.changes import WHERE
from aiexp.use.evaluating.progress import counted
from aiexp.use.progress import Progress, unheard

# Tensor letters: N examples, C classes.


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The answers of a classifier to the examples of a split, in the order of the examples.

    Args:
        name: Of the run.
        class_names: Of the C classes.
        logits: (N, C) float64.
        labels: (N,) int64, the true classes.
        places: (N,) int64, of the examples in their split.
        examples: A digest of what the examples are called.
    """

    name: str
    class_names: list[str]
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    examples: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, C)."""
        return np.exp(log_softmax(self.logits))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the likeliest class of each."""
        return self.logits.argmax(1)

    @property
    def hits(self) -> NDArray[np.bool_]:
        """(N,) whether that is the true one."""
        return self.predicted == self.labels

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood."""
        return negative_log_likelihood(self.logits, self.labels)


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C) logarithms of the probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def negative_log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean over (N, C) logits and (N,) true classes."""
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def is_classifier(task: Task) -> bool:
    """Whether a task has `logits` and names of classes."""
    return type(task).logits is not Task.logits and bool(getattr(task, "class_names", None))


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What a classifier says of a batch.

    Args:
        logits: (B, C).
        labels: (B,) int64, the true classes.
        places: (B,) int64, of the examples in their split; None of those that come in order.
    """

    logits: Tensor
    labels: Tensor
    places: Tensor | None


def score(candidate: Candidate, split: str, progress: Progress = unheard) -> Scores:
    """The answers of a candidate to every example of a split.

    Args:
        candidate: The task with its data.
        split: Of the data.
        progress: Hears how far the task is.

    Raises:
        ConfigError: the batches of its data have no labels, or `Task.logits` breaks its contract.
    """
    task, hardware = candidate.task, candidate.run.hardware
    answers: list[Answer] = []
    with misfits(), torch.inference_mode(), hardware.autocast():
        for batch in counted(candidate.dataset, split, progress):
            if not isinstance(batch, dict) or "labels" not in batch:
                fix = 'yield {"labels": (B,) int64, "index": (B,) int64, ...}'
                raise broken(candidate.dataset, "eval_batches", "yields batches without labels", fix=fix)
            tensors = cast(dict[str, Tensor], batch)
            labels = tensors["labels"]
            logits: Any = task.logits(task.to_device(tensors))
            if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
                raise broken(task, "logits", f"returned no logits of {len(labels)} examples", fix="(B, C)")
            answers.append(Answer(logits.cpu(), labels, tensors.get("index")))
    return scores_of(candidate, split, answers)


def scores_of(candidate: Candidate, split: str, answers: Sequence[Answer]) -> Scores:
    """The same of answers to all batches of the split, in their order."""
    count = 0
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for answer in answers:
        size = len(answer.labels)
        places = torch.arange(count, count + size) if answer.places is None else answer.places
        parts.append((answer.logits.double().cpu(), answer.labels.cpu(), places.cpu()))
        count += size
    logits, labels, places = (torch.cat(tensors).numpy() for tensors in zip(*parts, strict=True))
    order = np.argsort(places, kind="stable")
    return Scores(
        name=candidate.name, class_names=list(getattr(candidate.task, "class_names", [])),
        logits=logits[order], labels=labels[order], places=places[order],
        examples=_digest(candidate.dataset, split),
    )  # fmt: skip


def _digest(dataset: Any, split: str) -> str:
    """sha256 over the texts of a split, or the names of its pictures; empty where it has neither."""
    for member in ("texts", "names"):
        if hasattr(dataset, member):
            names: Sequence[Any] = getattr(dataset, member)(split)
            digest = hashlib.sha256()
            for name in names:
                data = str(name).encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "little") + data)
            return digest.hexdigest()
    return ""


def check_alike(scores: Scores, first: Scores) -> None:
    """Raises `ConfigError` where two classifiers are not of the same classes, or not asked the same."""
    if scores.class_names != first.class_names:
        raise ConfigError(
            f"{scores.name} tells other classes apart than {first.name}", where=WHERE,
            fix="an ensemble is of runs with the same classes in the same order",
        )  # fmt: skip
    if scores.examples != first.examples or not np.array_equal(scores.labels, first.labels):
        raise ConfigError(
            f"{scores.name} has other examples than {first.name}", where=WHERE,
            fix="runs on the same data; or dataset=NAME, for all of them",
        )  # fmt: skip


def together(all_scores: Sequence[Scores]) -> Scores:
    """The answers of an ensemble: means of the probabilities; of one alone its own."""
    if not all_scores[1:]:
        return all_scores[0]
    mean = np.mean([scores.probabilities for scores in all_scores], axis=0)
    logits = np.log(np.maximum(mean, np.finfo(np.float64).tiny))
    return replace(all_scores[0], name=f"ensemble of {len(all_scores)}", logits=logits)
