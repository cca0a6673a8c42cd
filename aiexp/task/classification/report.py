"""Numbers, tables and a figure about a classifier's predictions, by scikit-learn and matplotlib."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aiexp.dataset.base import Dataset
from aiexp.figure.style import Drawn
from aiexp.task.base import Task
from aiexp.task.classification.confusion import confusion_figure
from aiexp.task.report import Better, Evaluation, Table

Array = np.ndarray[Any, Any]
MATRIX = "confusion_matrix"  # the name of its figure
ZERO: Any = 0.0  # value where nothing was predicted or nothing is true (scikit-learn's stub says str)


BETTER: dict[str, Better] = {"loss": "min", "accuracy": "max", "macro_f1": "max"}


def classification_metrics(truth: Array, predicted: Array) -> dict[str, float]:
    """Accuracy and macro F1 of (N,) int class numbers."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=ZERO)),
    }


def score(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[dict[str, float], Array, Array, Tensor]:
    """What a classifier's answers to the batches of a split amount to.

    Args:
        parts: Of each batch logits (B, C) float32, labels (B,) int64 and places in the split (B,) int64.

    Returns:
        Loss, accuracy and macro F1; (N,) int64 true classes; (N, C) float32 probabilities; (N,) int64 places.
    """
    logits, labels, index = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    loss = F.cross_entropy(logits, labels).item()
    probabilities, truth = logits.softmax(1).numpy(), labels.numpy()
    metrics = {"loss": loss, **classification_metrics(truth, probabilities.argmax(1))}
    return metrics, truth, probabilities, index


def judged(task: Task, dataset: Dataset, split: str) -> tuple[dict[str, float], Array, Array, Tensor]:
    """What a classifier answers to a split, as of `score`; places are those of the batches' `index`."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in task.dealt(dataset, split):
        labels = batch["labels"]
        parts.append((task.logits(task.to_device(batch)).cpu(), labels, batch.get("index", labels)))
    return score(task.gathered(parts))


def reported(
    metrics: dict[str, float],
    truth: Array,
    probabilities: Array,
    class_names: list[str],
    names: list[str],
    num_worst: int,
    kind: Literal["text", "image", "example"],
) -> Evaluation:
    """An evaluation with the confusion matrix and tables; arguments as in `classification_report`."""
    matrix, tables = classification_report(truth, probabilities, class_names, names, num_worst, kind)
    return Evaluation(
        metrics=metrics, better=BETTER, pictures={MATRIX: matrix.png}, pdfs={MATRIX: matrix.pdf},
        tables=tables,
    )  # fmt: skip


def classification_report(
    truth: Array,
    probabilities: Array,
    class_names: list[str],
    names: list[str],
    num_worst: int,
    kind: Literal["text", "image", "example"],
) -> tuple[Drawn, dict[str, Table]]:
    """The confusion matrix; tables of each class and of the most confident errors.

    Args:
        truth: (N,) int64 true classes.
        probabilities: (N, C) float32.
        class_names: C names.
        names: N texts, or names of images, in the same order.
        num_worst: Largest number of errors listed.
        kind: What the examples are; heads their column.
    """
    predicted = probabilities.argmax(1)
    right = float(np.mean(predicted == truth))
    score = f"accuracy {right:.4f} of {len(truth):,} examples"
    matrix = confusion_figure(truth, predicted, class_names, score)
    tables = {
        "classes": class_table(truth, predicted, class_names),
        "worst_errors": worst_errors(truth, probabilities, class_names, names, num_worst, kind),
    }
    return matrix, tables


def class_table(truth: Array, predicted: Array, class_names: list[str]) -> Table:
    """Precision, recall, F1 and number of examples of every class."""
    from sklearn.metrics import precision_recall_fscore_support

    numbers = range(len(class_names))
    columns: Any = precision_recall_fscore_support(truth, predicted, labels=list(numbers), zero_division=ZERO)
    rows = [
        [class_names[i], *(round(float(c[i]), 4) for c in columns[:3]), int(columns[3][i])] for i in numbers
    ]
    return Table(columns=["class", "precision", "recall", "f1", "examples"], rows=rows)


def find_worst(truth: Array, probabilities: Array, num_worst: int) -> Array:
    """(at most `num_worst`,) int64 places of the errors made with the most confidence, worst first."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    errors = np.flatnonzero(predicted != truth)
    return errors[np.argsort(-confidence[errors], kind="stable")][:num_worst]


def worst_errors(
    truth: Array,
    probabilities: Array,
    class_names: list[str],
    names: list[str],
    num_worst: int,
    kind: Literal["text", "image", "example"],
) -> Table:
    """The errors made with the most confidence, worst first; arguments as in `classification_report`."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    rows: list[list[str | int | float]] = [
        [class_names[truth[i]], class_names[predicted[i]], round(float(confidence[i]), 4), names[i]]
        for i in find_worst(truth, probabilities, num_worst)
    ]
    return Table(columns=["true", "predicted", "confidence", kind], rows=rows)


def error_captions(truth: Array, probabilities: Array, class_names: list[str], places: Array) -> list[str]:
    """`true -> predicted (confidence)` for each of the places."""
    return [
        f"{class_names[truth[i]]} -> {class_names[probabilities[i].argmax()]} ({probabilities[i].max():.2f})"
        for i in places
    ]
